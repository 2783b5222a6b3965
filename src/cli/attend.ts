/** Stays with a running tunnel: status line, counters on request, its end. */
import type { EndingWatch } from "./ending.ts";
import { UserError } from "./errors.ts";
import { logger } from "./log.ts";
import { formatStatistics, statusSnapshot } from "./statistics.ts";
import type { StatusLine } from "./status_line.ts";
import type { TunnelProcess } from "./tunnel_process.ts";

const STATUS_INTERVAL_MS = 1000;
const REPORT_SIGNAL: Deno.Signal = "SIGUSR1";

/**
 * Shows how a tunnel does until something ends it, then prints all counters.
 * @throws {UserError} where the tunnel failed.
 */
export async function attend(
  tunnel: TunnelProcess,
  ending: EndingWatch,
  status: StatusLine,
): Promise<void> {
  const log = logger("Core");
  const startedAt = tunnel.now();
  const report = () => {
    for (const line of formatStatistics(tunnel)) log.info("{line}", { line });
  };
  const timer = setInterval(
    () => status.update(statusSnapshot(tunnel, startedAt)),
    STATUS_INTERVAL_MS,
  );
  const signals = Deno.build.os !== "windows";
  if (signals) Deno.addSignalListener(REPORT_SIGNAL, report);
  const end = await ending.ended;
  clearInterval(timer);
  if (signals) Deno.removeSignalListener(REPORT_SIGNAL, report);
  status[Symbol.dispose]();
  report();
  if (end.kind === "failure") throw new UserError(end.message);
  log.info("ending by {signal}", { signal: end.signal });
}
