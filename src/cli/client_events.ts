/** Where what a client's packet side tells goes: to the control plane, to the log. */
import { dropReasonText } from "../core/columns/drop_reason.ts";
import type { ClientRuntime } from "../control/client/client_runtime.ts";
import type { ClientEvents } from "../control/client_engine.ts";
import { logger } from "./log.ts";

/** Who is told. */
export interface ClientEventsOptions {
  /** Undefined before it is made: nothing is decided then. */
  readonly runtime: () => ClientRuntime | undefined;
  /** Nothing works any more. */
  readonly onFailure: (message: string) => void;
}

/** Events that are passed on. */
export function clientEvents(
  { runtime, onFailure }: ClientEventsOptions,
): ClientEvents {
  return {
    onAsk: (ask) => runtime()?.onAsk(ask),
    onFlowEnded: (row, generation) => runtime()?.onFlowEnded(row, generation),
    onDnsAnswer: (answer) => runtime()?.onDnsAnswer(answer),
    onHandshake: (outbound, result) => runtime()?.onHandshake(outbound, result),
    onFailure,
    onLine: (text) => logger("Proxy").warn("{text}", { text }),
    onDrop: (reason, flow) =>
      logger("Router").trace("drop: {reason}: {flow}", {
        reason: dropReasonText(reason),
        flow,
      }),
  };
}
