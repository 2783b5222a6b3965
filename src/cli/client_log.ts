/** What a running client's log says of what happens. */
import { ConfigError, formatProblem } from "../config/problems.ts";
import type { ClientEvent } from "../control/client/client_control.ts";
import { logger } from "./log.ts";

/** An event of the control plane. */
export function logClientEvent(event: ClientEvent): void {
  switch (event.kind) {
    case "tunnel": {
      const { tunnel, to, reason } = event;
      const log = logger("Tunnel");
      const why = reason === "" || reason === to ? "" : `: ${reason}`;
      const values = { tunnel, to, why };
      if (to === "down" || to === "degraded") {
        log.warn("{tunnel} is {to}{why}", values);
      } else log.info("{tunnel} is {to}{why}", values);
      break;
    }
    case "resettled":
      logger("Rule").debug("{flows} flows go another way now ({cause})", {
        flows: event.flows,
        cause: event.cause,
      });
      break;
    case "resolver":
      logger("DNS").info("resolver {resolver} ({by}): {now}", {
        resolver: event.resolver,
        by: event.tunnel ?? "direct",
        now: event.now,
      });
      break;
    case "network":
      logger("Router").info("{text}", { text: event.text });
      break;
    case "reloaded":
      // Whoever reloads tells it.
      break;
    case "warning":
      logger("Core").warn("{text}", { text: event.text });
      break;
  }
}

/** A config on disk that can't be taken. */
export function logConfigError(error: Error): void {
  const log = logger("Config");
  const lines = error instanceof ConfigError
    ? error.problems.map(formatProblem)
    : [error.message];
  for (const line of lines) log.error("{line}", { line });
  log.error("the config was not taken; the old one stays in force");
}
