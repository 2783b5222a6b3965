/** Offers a tunnel to `wg`, and remembers the socket for the next start. */
import type { AmneziaParameters } from "../core/wireguard/amnezia.ts";
import { DeviceUapi } from "../control/device_uapi.ts";
import { UapiServer } from "../control/uapi_server.ts";
import { localSockets } from "../io/platform.ts";
import type { Journal } from "../io/ports.ts";
import { logger } from "./log.ts";
import type { TunnelProcess } from "./tunnel_process.ts";

/** Which tunnel is offered, and under which name. */
export interface OfferUapiOptions {
  readonly tunnel: TunnelProcess;
  /** The interface's name. */
  readonly name: string;
  readonly amnezia: AmneziaParameters | undefined;
  readonly journal: Journal;
}

const SCOPE = "uapi";

/**
 * Listens where `wg` looks for the interface; without the right to do so it
 * says that and goes on.
 * @returns what ends it.
 * @throws {UapiSocketInUseError} where another program serves the interface.
 */
export async function offerUapi(
  options: OfferUapiOptions,
): Promise<AsyncDisposable> {
  const { tunnel, name, amnezia, journal } = options;
  const socket = localSockets().uapi(name);
  const { path } = socket;
  await using stack = new AsyncDisposableStack();
  if (socket.isFile) {
    journal.record(SCOPE, [{ kind: "file", path }]);
    stack.defer(() => journal.record(SCOPE, []));
  }
  const device = new DeviceUapi({
    device: tunnel.device,
    listenPort: tunnel.port,
    amnezia,
    now: tunnel.now,
    removePeer: (row) => tunnel.removePeer(row),
    drain: () => tunnel.control.drain(),
  });
  try {
    const onFailure = (error: unknown) =>
      logger("UAPI").warn("nobody can connect to {path} for now: {error}", {
        path,
        error,
      });
    stack.use(await UapiServer.listen(socket, device, { onFailure }));
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    logger("UAPI").info("no socket for wg at {path}: permission denied", {
      path,
    });
  }
  return stack.move();
}
