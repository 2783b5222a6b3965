/**
 * Offers a device's configuration protocol on the unix socket where `wg` looks
 * for it: `/var/run/wireguard/NAME.sock`, for its owner alone.
 */
import { dirname } from "node:path";
import { handleUapi } from "./uapi.ts";
import type { UapiPort } from "./uapi_port.ts";

/** Bounds on what clients may do. */
export interface UapiServerOptions {
  /** Longest request in bytes. */
  readonly requestLimit?: number;
  /** A request must be whole within this time. */
  readonly requestTimeoutMs?: number;
  readonly maxConnections?: number;
}

/** The socket belongs to another running program. */
export class UapiSocketInUseError extends Error {
  override readonly name = "UapiSocketInUseError";
}

const DIRECTORY = "/var/run/wireguard";
const REQUEST_END = "\n\n";

/** The path of an interface's socket. */
export function uapiSocketPath(interfaceName: string): string {
  return `${DIRECTORY}/${interfaceName}.sock`;
}

/** A listening socket; disposing of it closes all connections and removes it. */
export class UapiServer implements AsyncDisposable {
  readonly path: string;
  readonly #port: UapiPort;
  readonly #listener: Deno.UnixListener;
  readonly #limits: Required<UapiServerOptions>;
  readonly #connections = new Set<Deno.UnixConn>();
  readonly #accepting: Promise<void>;
  #closed = false;

  /**
   * Listens on the socket; a dead one that a crash left is removed.
   * @throws UapiSocketInUseError where another program answers there; what the
   *         system says where the directory can't be used.
   */
  static async listen(
    path: string,
    port: UapiPort,
    options: UapiServerOptions = {},
  ): Promise<UapiServer> {
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await removeStale(path);
    // The mask, not a later chmod: the socket is never open to others.
    const mask = Deno.umask(0o177);
    try {
      const listener = Deno.listen({ transport: "unix", path });
      return new UapiServer(path, port, listener, options);
    } finally {
      Deno.umask(mask);
    }
  }

  private constructor(
    path: string,
    port: UapiPort,
    listener: Deno.UnixListener,
    options: UapiServerOptions,
  ) {
    this.path = path;
    this.#port = port;
    this.#listener = listener;
    this.#limits = {
      requestLimit: options.requestLimit ?? 16 * 1024 * 1024,
      requestTimeoutMs: options.requestTimeoutMs ?? 10_000,
      maxConnections: options.maxConnections ?? 16,
    };
    this.#accepting = this.#accept();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    for (const connection of this.#connections) close(connection);
    await this.#accepting;
    try {
      await Deno.remove(this.path);
    } catch (error) {
      // Closing the listener may have removed it.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      if (this.#connections.size >= this.#limits.maxConnections) {
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
    const decoder = new TextDecoder();
    const chunk = new Uint8Array(65_536);
    let pending = "";
    while (true) {
      const end = pending.indexOf(REQUEST_END);
      if (end >= 0) {
        const request = pending.slice(0, end);
        pending = pending.slice(end + REQUEST_END.length);
        await writeAll(connection, handleUapi(request, this.#port));
        continue;
      }
      if (pending.length > this.#limits.requestLimit) return;
      const length = await this.#read(connection, chunk);
      if (length === null) return;
      pending += decoder.decode(chunk.subarray(0, length), { stream: true });
    }
  }

  async #read(
    connection: Deno.UnixConn,
    chunk: Uint8Array,
  ): Promise<number | null> {
    const timer = setTimeout(
      () => close(connection),
      this.#limits.requestTimeoutMs,
    );
    try {
      return await connection.read(chunk);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Removes a socket that nobody answers on. */
async function removeStale(path: string): Promise<void> {
  try {
    const { isSocket } = await Deno.lstat(path);
    if (!isSocket) {
      throw new UapiSocketInUseError(
        `${path} exists and is no socket; remove it`,
      );
    }
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
  throw new UapiSocketInUseError(
    `another program serves ${path}; is an interface of that name running already?`,
  );
}

async function writeAll(
  connection: Deno.UnixConn,
  text: string,
): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) {
    at += await connection.write(bytes.subarray(at));
  }
}

function close(connection: Deno.UnixConn): void {
  try {
    connection.close();
  } catch {
    // Closed already.
  }
}
