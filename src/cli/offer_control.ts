/** Offers a running client to `sluice status` and its like, and remembers the socket for the next start. */
import type { ClientPort } from "../control/client_port.ts";
import { serveControl } from "../control/control_server.ts";
import type { Journal } from "../io/ports.ts";
import { clientSocket } from "./ask_client.ts";
import { logger } from "./log.ts";

/** Where it is offered. */
export interface OfferControlOptions {
  /** Path of the socket; undefined for the system's usual place. */
  readonly path: string | undefined;
  readonly journal: Journal;
}

const SCOPE = "control";

/**
 * Listens where commands look for the client.
 * @returns what ends it.
 * @throws what listening throws.
 */
export async function offerControl(
  port: ClientPort,
  options: OfferControlOptions,
): Promise<AsyncDisposable> {
  const { journal } = options;
  const socket = clientSocket(options.path);
  const { path } = socket;
  await using stack = new AsyncDisposableStack();
  if (socket.isFile) {
    journal.record(SCOPE, [{ kind: "file", path }]);
    stack.defer(() => journal.record(SCOPE, []));
  }
  const onFailure = (error: unknown) =>
    logger("Core").warn("nobody can connect to {path} for now: {error}", {
      path,
      error,
    });
  stack.use(await serveControl(socket, port, { onFailure }));
  return stack.move();
}
