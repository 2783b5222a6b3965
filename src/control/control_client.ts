/** Asks a running split tunnel by its control socket; see control_protocol.ts. */
import type { LocalConnection, LocalSocket } from "../io/ports.ts";
import {
  type ControlAnswer,
  type ControlRequest,
  formatRequest,
  parseAnswer,
} from "./control_protocol.ts";

/** What became of a request. */
export type ControlReply =
  | ControlAnswer
  /** Nobody listens there. */
  | { readonly kind: "absent" }
  /** Somebody else's client. */
  | { readonly kind: "denied" }
  /** It hung up, or took too long. */
  | { readonly kind: "silent" };

/** Reloading may resolve names. */
const TIMEOUT_MS = 20_000;
const ANSWER_LIMIT = 64 * 1024 * 1024;

/** Sends one request on a connection of its own and waits for the answer. */
export async function askControl(
  socket: LocalSocket,
  request: ControlRequest,
): Promise<ControlReply> {
  let connection: LocalConnection;
  try {
    connection = await socket.connect();
  } catch (error) {
    return error instanceof Deno.errors.PermissionDenied
      ? { kind: "denied" }
      : { kind: "absent" };
  }
  const timer = setTimeout(() => close(connection), TIMEOUT_MS);
  try {
    await writeAll(connection, formatRequest(request) + "\n");
    const line = await readLine(connection);
    return line === undefined ? { kind: "silent" } : parseAnswer(line);
  } catch {
    return { kind: "silent" };
  } finally {
    clearTimeout(timer);
    close(connection);
  }
}

async function readLine(
  connection: LocalConnection,
): Promise<string | undefined> {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(65_536);
  const pieces: string[] = [];
  let length = 0;
  while (length < ANSWER_LIMIT) {
    const count = await connection.read(chunk);
    if (count === null) return undefined;
    const piece = decoder.decode(chunk.subarray(0, count), { stream: true });
    const end = piece.indexOf("\n");
    pieces.push(end < 0 ? piece : piece.slice(0, end));
    if (end >= 0) return pieces.join("");
    length += count;
  }
  return undefined;
}

async function writeAll(
  connection: LocalConnection,
  text: string,
): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) {
    at += await connection.write(bytes.subarray(at));
  }
}

function close(connection: LocalConnection): void {
  try {
    connection.close();
  } catch {
    // Closed by the time-out.
  }
}
