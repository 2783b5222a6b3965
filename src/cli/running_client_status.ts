/** How a running client stands as a whole, as its control socket tells it. */
import metadata from "../../deno.json" with { type: "json" };
import { resolve } from "node:path";
import type { ClientRuntime } from "../control/client/client_runtime.ts";
import type { ClientEngine } from "../control/client_engine.ts";
import type { ClientStatus } from "../control/client_port.ts";
import { refusalProblems, refusals } from "./client_refusals.ts";

/** Of whom it is put together. */
export interface RunningClientParts {
  readonly runtime: Pick<ClientRuntime, "status">;
  readonly engine: Pick<ClientEngine, "statistics" | "interfaceName">;
  /** The configuration's file. */
  readonly path: string;
  /** On the clock of `performance`, in ms. */
  readonly startedAt: number;
  readonly killSwitch: ClientStatus["killSwitch"];
}

/** Its status now. */
export function runningClientStatus(parts: RunningClientParts): ClientStatus {
  const { runtime, engine, path, startedAt, killSwitch } = parts;
  const status = runtime.status();
  const statistics = engine.statistics();
  const refused = refusals(statistics);
  const counters = Object.entries(refused).map(([reason, count]) =>
    [`refused:${reason}`, count] as const
  );
  return {
    version: metadata.version,
    processId: Deno.pid,
    config: resolve(path),
    uptimeMs: performance.now() - startedAt,
    killSwitch,
    interface: engine.interfaceName,
    ...status,
    problems: [...status.problems, ...refusalProblems(refused)],
    counters: { ...status.counters, ...Object.fromEntries(counters) },
    drops: statistics.counters.drops,
  };
}
