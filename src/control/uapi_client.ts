/** Asks a running interface, ours or any other WireGuard, for its state. */
import type { LocalConnection, LocalSocket } from "../io/ports.ts";
import { formatKey, parseHexKey } from "../config/keys.ts";

/** What a peer does at the moment. */
export interface LivePeer {
  /** `address:port`, or undefined where none is known. */
  readonly endpoint: string | undefined;
  /** Milliseconds since 1970; 0 where there was none. */
  readonly lastHandshakeMs: number;
  readonly txBytes: number;
  readonly rxBytes: number;
}

/** Peers by their public keys in base64. */
export type LivePeers = ReadonlyMap<string, LivePeer>;

const TIMEOUT_MS = 2000;
const ANSWER_LIMIT = 64 * 1024 * 1024;

/**
 * The peers of the interface behind a socket.
 * @returns undefined where nobody answers there, or only others may ask.
 */
export async function queryUapi(
  socket: LocalSocket,
): Promise<LivePeers | undefined> {
  let connection: LocalConnection;
  try {
    connection = await socket.connect();
  } catch {
    return undefined;
  }
  const timer = setTimeout(() => connection.close(), TIMEOUT_MS);
  try {
    await connection.write(new TextEncoder().encode("get=1\n\n"));
    return parseLivePeers(await readAnswer(connection));
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    try {
      connection.close();
    } catch {
      // Closed by the time-out.
    }
  }
}

/** The peers in the answer to a `get`; undefined where it reports an error. */
export function parseLivePeers(answer: string): LivePeers | undefined {
  const peers = new Map<string, LivePeer>();
  let fields = new Map<string, string>();
  const finish = () => {
    const key = parseHexKey(fields.get("public_key") ?? "");
    if (key !== undefined) peers.set(formatKey(key), livePeer(fields));
  };
  for (const line of answer.split("\n")) {
    const equals = line.indexOf("=");
    if (equals < 1) continue;
    const name = line.slice(0, equals);
    if (name === "public_key") {
      finish();
      fields = new Map();
    }
    fields.set(name, line.slice(equals + 1));
  }
  finish();
  return fields.get("errno") === "0" ? peers : undefined;
}

function livePeer(fields: ReadonlyMap<string, string>): LivePeer {
  const number = (name: string) => Number(fields.get(name) ?? 0);
  return {
    endpoint: fields.get("endpoint"),
    lastHandshakeMs: number("last_handshake_time_sec") * 1000 +
      Math.floor(number("last_handshake_time_nsec") / 1e6),
    txBytes: number("tx_bytes"),
    rxBytes: number("rx_bytes"),
  };
}

async function readAnswer(connection: LocalConnection): Promise<string> {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(65_536);
  let text = "";
  while (!text.endsWith("\n\n") && text.length < ANSWER_LIMIT) {
    const length = await connection.read(chunk);
    if (length === null) break;
    text += decoder.decode(chunk.subarray(0, length), { stream: true });
  }
  return text;
}
