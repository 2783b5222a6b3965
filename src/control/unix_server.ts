/**
 * Answers requests on a unix socket that is its owner's alone: text up to an
 * end that the protocol names, one after the other. Who sends too much, too
 * slowly or from too many connections is hung up on.
 */
import { dirname } from "node:path";

/** Bounds on what clients may do. */
export interface UnixServerLimits {
  /** Longest request in characters. */
  readonly requestLimit: number;
  /** A request must be whole within this time, and an answer taken. */
  readonly requestTimeoutMs: number;
  readonly maxConnections: number;
}

/** What is served. */
export interface UnixServerOptions extends UnixServerLimits {
  readonly path: string;
  /** What a request ends in; it is not handed on. */
  readonly requestEnd: string;
  /** The answer to a request, its end included. Must not throw. */
  readonly handle: (request: string) => string | Promise<string>;
}

/** The socket belongs to another running program, or is none. */
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

/** A listening socket; disposing of it closes all connections and removes it. */
export class UnixServer implements AsyncDisposable {
  readonly #options: UnixServerOptions;
  readonly #listener: Deno.UnixListener;
  readonly #connections = new Set<Deno.UnixConn>();
  readonly #accepting: Promise<void>;
  #closed = false;

  /**
   * Listens; a dead socket that a crash left is removed.
   * @throws {SocketInUseError}; what the system says where the directory can't
   *         be used.
   */
  static async listen(options: UnixServerOptions): Promise<UnixServer> {
    const { path } = options;
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await removeStale(path);
    // The mask, not a later chmod: the socket is never open to others.
    const mask = Deno.umask(0o177);
    try {
      const listener = Deno.listen({ transport: "unix", path });
      return new UnixServer(options, listener);
    } finally {
      Deno.umask(mask);
    }
  }

  private constructor(
    options: UnixServerOptions,
    listener: Deno.UnixListener,
  ) {
    this.#options = options;
    this.#listener = listener;
    this.#accepting = this.#accept();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    for (const connection of this.#connections) close(connection);
    await this.#accepting;
    try {
      await Deno.remove(this.#options.path);
    } catch (error) {
      // Closing the listener may have removed it.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      if (this.#connections.size >= this.#options.maxConnections) {
        close(connection);
        continue;
      }
      this.#connections.add(connection);
      this.#serve(connection)
        // A client that hangs up concerns nobody else.
        .catch(() => {})
        .finally(() => {
          this.#connections.delete(connection);
          close(connection);
        });
    }
  }

  /** Answers requests one after the other until the client hangs up. */
  async #serve(connection: Deno.UnixConn): Promise<void> {
    const { requestEnd, requestLimit, handle } = this.#options;
    const decoder = new TextDecoder();
    const chunk = new Uint8Array(65_536);
    let pending = "";
    while (true) {
      const end = pending.indexOf(requestEnd);
      if (end >= 0) {
        const request = pending.slice(0, end);
        pending = pending.slice(end + requestEnd.length);
        await this.#write(connection, await handle(request));
        continue;
      }
      if (pending.length > requestLimit) return;
      const length = await this.#timed(connection, connection.read(chunk));
      if (length === null) return;
      pending += decoder.decode(chunk.subarray(0, length), { stream: true });
    }
  }

  async #write(connection: Deno.UnixConn, text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) {
      at += await this.#timed(connection, connection.write(bytes.subarray(at)));
    }
  }

  async #timed<Result>(
    connection: Deno.UnixConn,
    work: Promise<Result>,
  ): Promise<Result> {
    const timer = setTimeout(
      () => close(connection),
      this.#options.requestTimeoutMs,
    );
    try {
      return await work;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Removes a socket that nobody answers on. */
async function removeStale(path: string): Promise<void> {
  try {
    const { isSocket } = await Deno.lstat(path);
    if (!isSocket) throw new SocketInUseError(path, "file");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  try {
    close(await Deno.connect({ transport: "unix", path }));
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) {
      await Deno.remove(path);
      return;
    }
    throw error;
  }
  throw new SocketInUseError(path, "program");
}

function close(connection: Deno.UnixConn): void {
  try {
    connection.close();
  } catch {
    // Closed already.
  }
}
