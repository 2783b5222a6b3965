/** Stays with what runs: status line, counters on request, its end. */
import { type Platform, reportSignal } from "../io/platform.ts";
import { closeDebugger } from "./close_debugger.ts";
import type { EndingWatch } from "./ending.ts";
import { UserError } from "./errors.ts";
import { giveBackNowAndThen } from "./give_back_memory.ts";
import { logger } from "./log.ts";
import type { Moment, StatusLine } from "./status_line.ts";

const STATUS_INTERVAL_MS = 1000;

/** What can be asked how it does. */
export interface Attended<S extends Moment> {
  /** The figures of the status line. */
  snapshot(): S;
  /** All figures, a line each. */
  statistics(): readonly string[];
}

/** What it takes to stay with it. */
export interface Attendance<S extends Moment> {
  readonly ending: EndingWatch;
  readonly status: StatusLine<S>;
  readonly platform: Platform;
}

/** What help says of signals. */
export function signalsHelp(): string {
  const signal = reportSignal();
  return signal === undefined
    ? ""
    : `Signals: ${signal} prints all counters; SIGINT and SIGTERM end it.\n`;
}

/**
 * Shows how something does until something ends it, then prints all counters.
 * @throws {UserError} where it failed.
 */
export async function attend<S extends Moment>(
  attended: Attended<S>,
  { ending, status, platform }: Attendance<S>,
): Promise<void> {
  const log = logger("Core");
  const report = () => {
    for (const line of attended.statistics()) log.info("{line}", { line });
  };
  const timer = setInterval(
    () => status.update(attended.snapshot()),
    STATUS_INTERVAL_MS,
  );
  using _giving = giveBackNowAndThen(platform);
  const signal = reportSignal();
  const reportBySignal = () => {
    report();
    closeDebugger();
  };
  if (signal !== undefined) Deno.addSignalListener(signal, reportBySignal);
  const end = await ending.ended;
  clearInterval(timer);
  if (signal !== undefined) Deno.removeSignalListener(signal, reportBySignal);
  status[Symbol.dispose]();
  report();
  if (end.kind === "failure") throw new UserError(end.message);
  log.info("ending by {signal}", { signal: end.signal });
}
