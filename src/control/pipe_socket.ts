/** Named pipes of Windows, as connections of local_socket.ts. */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { LocalConnection, LocalListener } from "./local_socket.ts";

/** Listens on a pipe that nobody serves. */
export async function listenOnPipe(path: string): Promise<LocalListener> {
  const server = createServer();
  const listener = new PipeListener(server);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", (error) => reject(systemError(error)));
  server.listen(path, resolve);
  await promise;
  return listener;
}

/** What the runtime makes of ERROR_PIPE_BUSY: the server is between two clients. */
const BUSY = "EINVAL";
const BUSY_TRIES = 100;
const BUSY_PAUSE_MS = 10;

/** Connects to a pipe; a busy one is tried again for a second. */
export async function connectPipe(path: string): Promise<LocalConnection> {
  for (let n = 1;; n++) {
    try {
      return await tryPipe(path);
    } catch (error) {
      const busy = (error as { code?: string }).code === BUSY;
      if (!busy || n === BUSY_TRIES) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
  }
}

async function tryPipe(path: string): Promise<LocalConnection> {
  const socket = connect(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("connect", resolve);
  socket.once("error", (error) => reject(systemError(error)));
  await promise;
  return new PipeConnection(socket);
}

class PipeListener implements LocalListener {
  readonly #server: Server;
  readonly #connections = new Queue<Socket>();
  #closed = false;

  constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      if (this.#closed) socket.destroy();
      else this.#connections.push(socket);
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LocalConnection> {
    for await (const socket of this.#connections) {
      yield new PipeConnection(socket);
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const socket of this.#connections.end()) socket.destroy();
    // It ends with the last connection, which is not waited for.
    this.#server.close();
    return Promise.resolve();
  }
}

class PipeConnection implements LocalConnection {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
    // What goes wrong is told to who reads or writes.
    socket.on("error", () => {});
  }

  async read(bytes: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) {
      const { value, done } = await this.#chunks.next();
      if (done) return null;
      this.#rest = value;
    }
    const length = Math.min(bytes.length, this.#rest.length);
    bytes.set(this.#rest.subarray(0, length));
    this.#rest = this.#rest.subarray(length);
    return length;
  }

  write(bytes: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#socket.write(
      bytes,
      (error) => error ? reject(error) : resolve(bytes.length),
    );
    return promise;
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Values that one side puts in and the other waits for. */
class Queue<T> implements AsyncIterable<T> {
  readonly #values: T[] = [];
  #bell = Promise.withResolvers<void>();
  #ended = false;

  push(value: T): void {
    this.#values.push(value);
    this.#bell.resolve();
  }

  /** @returns the values that nobody has taken. */
  end(): T[] {
    this.#ended = true;
    this.#bell.resolve();
    return this.#values.splice(0);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    while (true) {
      yield* this.#values.splice(0);
      if (this.#ended) return;
      await this.#bell.promise;
      this.#bell = Promise.withResolvers();
    }
  }
}

/** The runtime's own error for a code of node's. */
function systemError(error: Error & { readonly code?: string }): Error {
  switch (error.code) {
    case "ENOENT":
      return new Deno.errors.NotFound(error.message, { cause: error });
    case "EACCES":
    case "EPERM":
      return new Deno.errors.PermissionDenied(error.message, { cause: error });
    default:
      return error;
  }
}
