/** How a command speaks with the running `sluice client`. */
import { Option } from "@commander-js/extra-typings";
import { askControl } from "../control/control_client.ts";
import type { ControlRequest } from "../control/control_protocol.ts";
import type {
  ClientStatus,
  ExplainAnswer,
  FlowView,
  ReloadAnswer,
} from "../control/client_port.ts";
import { elevation, localSockets } from "../io/platform.ts";
import type { LocalSocket } from "../io/ports.ts";
import { ExitCode, UserError } from "./errors.ts";

/** What each request comes back with. */
interface Results {
  readonly status: ClientStatus;
  readonly flows: readonly FlowView[];
  readonly explain: ExplainAnswer;
  readonly tunnel: null;
  readonly mode: null;
  readonly reload: ReloadAnswer;
}

/** Options of each command that asks. */
export type SocketOptions = { readonly socket?: string };

/** Where a client offers itself, with this socket in its config. */
export function clientSocket(path: string | undefined): LocalSocket {
  const sockets = localSockets();
  return path === undefined ? sockets.client()[0] : sockets.at(path);
}

/** `--socket`. */
export function socketOption(): Option<"--socket <path>"> {
  return new Option(
    "--socket <path>",
    "control socket of the client, where it is not the usual one",
  );
}

/**
 * Asks the running client.
 * @throws {UserError} where none runs, where it is somebody else's, and where it
 *         refuses.
 */
export async function askClient<Verb extends keyof Results>(
  request: ControlRequest & { readonly verb: Verb },
  { socket }: SocketOptions,
): Promise<Results[Verb]> {
  const sockets = localSockets();
  const places = socket === undefined ? sockets.client() : [sockets.at(socket)];
  for (const place of places) {
    const reply = await askControl(place, request);
    switch (reply.kind) {
      case "result":
        return reply.result as Results[Verb];
      case "fault":
        throw new UserError(reply.fault.message, reply.fault.hint);
      case "denied":
        throw new UserError(
          "a client of another user runs, or did: its control socket is closed to you",
          `ask as that user: ${elevation()}sluice ${request.verb}`,
        );
      case "silent":
        throw new UserError(
          "the running client gave no answer",
          "its log may say why; sluice client --reset undoes what a dead one left",
        );
      case "absent":
        continue;
    }
  }
  throw new UserError(
    `no client runs here: nobody listens at ${
      places.map(({ path }) => path).join(" or ")
    }`,
    `start it: ${elevation()}sluice client`,
    ExitCode.Failure,
  );
}
