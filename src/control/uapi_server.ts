/**
 * Offers a device's configuration protocol on the local socket where `wg` looks
 * for it, for its owner alone.
 */
import type { LocalSocket } from "../io/ports.ts";
import { handleUapi } from "./uapi.ts";
import type { UapiPort } from "./uapi_port.ts";
import {
  LocalServer,
  type LocalServerLimits,
  type LocalServerOptions,
  SocketInUseError,
} from "./local_server.ts";

/** Bounds on what clients may do, and who hears why nobody can connect for now. */
export type UapiServerOptions =
  & Partial<LocalServerLimits>
  & Pick<LocalServerOptions, "onFailure">;

/** The socket belongs to another running program. */
export class UapiSocketInUseError extends Error {
  override readonly name = "UapiSocketInUseError";
}

const REQUEST_END = "\n\n";
const LIMITS: LocalServerLimits = {
  requestLimit: 16 * 1024 * 1024,
  requestTimeoutMs: 10_000,
  maxConnections: 16,
};

/** A listening socket; disposing of it closes all connections and removes it. */
export class UapiServer implements AsyncDisposable {
  readonly path: string;
  readonly #server: LocalServer;

  /**
   * Listens on the socket; a dead one that a crash left is removed.
   * @throws UapiSocketInUseError where another program answers there; what the
   *         system says where the directory can't be used.
   */
  static async listen(
    socket: LocalSocket,
    port: UapiPort,
    options: UapiServerOptions = {},
  ): Promise<UapiServer> {
    try {
      const server = await LocalServer.listen({
        ...LIMITS,
        ...options,
        socket,
        requestEnd: REQUEST_END,
        handle: (request) => handleUapi(request, port),
      });
      return new UapiServer(socket.path, server);
    } catch (error) {
      if (!(error instanceof SocketInUseError)) throw error;
      throw new UapiSocketInUseError(
        error.by === "file"
          ? error.message
          : `${error.message}; is an interface of that name running already?`,
      );
    }
  }

  private constructor(path: string, server: LocalServer) {
    this.path = path;
    this.#server = server;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}
