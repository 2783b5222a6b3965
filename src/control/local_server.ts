/**
 * Answers requests on a local socket that is its owner's alone: text up to an
 * end that the protocol names, one after the other. Who sends too much, too
 * slowly or from too many connections is hung up on.
 */
import type {
  LocalConnection,
  LocalListener,
  LocalSocket,
} from "../io/ports.ts";

/** Bounds on what clients may do. */
export interface LocalServerLimits {
  /** Longest request in characters. */
  readonly requestLimit: number;
  /** A request must be whole within this time, and an answer taken. */
  readonly requestTimeoutMs: number;
  readonly maxConnections: number;
}

/** What is served. */
export interface LocalServerOptions extends LocalServerLimits {
  readonly socket: LocalSocket;
  /** What a request ends in; it is not handed on. */
  readonly requestEnd: string;
  /** The answer to a request, its end included. Must not throw. */
  readonly handle: (request: string) => string | Promise<string>;
  /** Hears why nobody can connect for now. */
  readonly onFailure?: (error: unknown) => void;
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

/** A listening socket; disposing of it closes all connections and removes it. */
export class LocalServer implements AsyncDisposable {
  readonly #options: LocalServerOptions;
  readonly #listener: LocalListener;
  readonly #connections = new Set<LocalConnection>();
  readonly #accepting: Promise<void>;
  #closed = false;

  /**
   * Listens; a dead socket that a crash left is removed.
   * @throws {SocketInUseError}; what the system says where the directory can't
   *         be used.
   */
  static async listen(options: LocalServerOptions): Promise<LocalServer> {
    const { socket, onFailure } = options;
    const listening = await socket.listen(onFailure);
    if (listening.kind === "in-use") {
      throw new SocketInUseError(socket.path, listening.by);
    }
    return new LocalServer(options, listening.listener);
  }

  private constructor(
    options: LocalServerOptions,
    listener: LocalListener,
  ) {
    this.#options = options;
    this.#listener = listener;
    this.#accepting = this.#accept();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#listener.close();
    for (const connection of this.#connections) close(connection);
    await this.#accepting;
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
  async #serve(connection: LocalConnection): Promise<void> {
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

  async #write(connection: LocalConnection, text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) {
      at += await this.#timed(connection, connection.write(bytes.subarray(at)));
    }
  }

  async #timed<Result>(
    connection: LocalConnection,
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

function close(connection: LocalConnection): void {
  try {
    connection.close();
  } catch {
    // Closed already.
  }
}
