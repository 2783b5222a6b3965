/** Offers a running split tunnel to other processes of its owner; see control_protocol.ts. */
import type { LocalSocket } from "../io/ports.ts";
import type { ClientPort } from "./client_port.ts";
import { handleControl } from "./control_protocol.ts";
import {
  LocalServer,
  type LocalServerLimits,
  type LocalServerOptions,
} from "./local_server.ts";

const LIMITS: LocalServerLimits = {
  requestLimit: 65_536,
  requestTimeoutMs: 10_000,
  maxConnections: 16,
};

/**
 * Listens on a socket, mode 0600, in a directory that is made where missing.
 * @returns what ends it and removes the socket.
 * @throws {SocketInUseError} where another client answers there.
 */
export function serveControl(
  socket: LocalSocket,
  port: ClientPort,
  options: Partial<LocalServerLimits> & Pick<LocalServerOptions, "onFailure"> =
    {},
): Promise<AsyncDisposable> {
  return LocalServer.listen({
    ...LIMITS,
    ...options,
    socket,
    requestEnd: "\n",
    handle: (line) => handleControl(line, port),
  });
}
