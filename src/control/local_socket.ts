/**
 * Connections between programs of one machine: unix sockets, and the named pipes
 * of Windows, told apart by their names.
 */
import { dirname } from "node:path";
import { connectPipe, listenOnPipe } from "./pipe_socket.ts";

/** A byte stream to another program. */
export interface LocalConnection {
  /** @returns how many bytes came; null at the end. */
  read(bytes: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** Takes connections until it is closed. */
export interface LocalListener extends AsyncIterable<LocalConnection> {
  /** Connections that were taken live on; the name is free. */
  close(): Promise<void>;
}

/** The name belongs to another running program, or to a file that is no socket. */
export class SocketInUseError extends Error {
  override readonly name = "SocketInUseError";
  constructor(readonly path: string, readonly by: "program" | "file") {
    super(
      by === "program"
        ? `another program serves ${path}`
        : `${path} exists and is no socket; remove it`,
    );
  }
}

const PIPE = /^\\\\[.?]\\pipe\\/i;

/** Whether the name is a file, which a killed program leaves behind. */
export function isSocketFile(path: string): boolean {
  return !PIPE.test(path);
}

/**
 * Listens, for the owner alone; a dead socket that a crash left is removed.
 * @throws {SocketInUseError}; what the system says where the directory can't be
 *         used.
 */
export async function listenLocal(path: string): Promise<LocalListener> {
  if (!isSocketFile(path)) {
    if (await isServed(path)) throw new SocketInUseError(path, "program");
    return await listenOnPipe(path);
  }
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await removeStale(path);
  // The mask, not a later chmod: the socket is never open to others.
  const mask = Deno.umask(0o177);
  try {
    return new UnixSocketListener(Deno.listen({ transport: "unix", path }));
  } finally {
    Deno.umask(mask);
  }
}

/**
 * Connects.
 * @throws {Deno.errors.PermissionDenied} where it is somebody else's; another
 *         error of the system's where nobody listens.
 */
export async function connectLocal(path: string): Promise<LocalConnection> {
  return isSocketFile(path)
    ? await Deno.connect({ transport: "unix", path })
    : await connectPipe(path);
}

class UnixSocketListener implements LocalListener {
  readonly #listener: Deno.UnixListener;

  constructor(listener: Deno.UnixListener) {
    this.#listener = listener;
  }

  [Symbol.asyncIterator](): AsyncIterator<LocalConnection> {
    return this.#listener[Symbol.asyncIterator]();
  }

  async close(): Promise<void> {
    const { path } = this.#listener.addr as Deno.UnixAddr;
    this.#listener.close();
    try {
      await Deno.remove(path);
    } catch (error) {
      // Closing the listener may have removed it.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

async function removeStale(path: string): Promise<void> {
  try {
    const { isSocket } = await Deno.lstat(path);
    if (!isSocket) throw new SocketInUseError(path, "file");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (await isServed(path)) throw new SocketInUseError(path, "program");
  await Deno.remove(path);
}

async function isServed(path: string): Promise<boolean> {
  try {
    const connection = await connectLocal(path);
    connection.close();
    return true;
  } catch (error) {
    if (
      error instanceof Deno.errors.ConnectionRefused ||
      error instanceof Deno.errors.NotFound
    ) return false;
    throw error;
  }
}
