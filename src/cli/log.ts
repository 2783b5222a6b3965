/**
 * The program's log: lines on standard error with time, level and the part that
 * speaks, `[Core]`, `[Router]`, `[DNS]`. Keys never get into it.
 */
import {
  configure,
  getLogger,
  type Logger,
  type LogLevel as SinkLevel,
  type LogRecord,
  reset,
} from "@logtape/logtape";
import { styled, wantsColor, writeError } from "./output.ts";

/** Levels from quiet to loud. */
export const LOG_LEVELS = [
  "error",
  "warning",
  "info",
  "debug",
  "trace",
] as const;

/** How much is logged. */
export type LogLevel = typeof LOG_LEVELS[number];

/** The parts of the program that log. */
export type LogTag =
  | "Core"
  | "Router"
  | "Tunnel"
  | "DNS"
  | "Config"
  | "Peers"
  | "UAPI"
  | "Client"
  | "Rule"
  | "Proxy";

/** How the log is written. */
export interface LogOptions {
  readonly level: LogLevel;
  /** Gets whole lines; standard error where it is left out. */
  readonly write?: (lines: string) => void;
  readonly color?: boolean;
}

const ROOT = "sluice";
/** WireGuard keys in base64 and in hexadecimal. */
const SECRETS =
  /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=|(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])/g;
const LEVEL_STYLES = {
  fatal: "red",
  error: "red",
  warning: "yellow",
  info: "green",
  debug: "cyan",
  trace: "dim",
} as const;

/** Sets the log up, again where it was before. */
export async function setupLog(options: LogOptions): Promise<void> {
  const { level, write = writeError, color = wantsColor("error") } = options;
  await configure({
    reset: true,
    sinks: { lines: (record: LogRecord) => write(formatRecord(record, color)) },
    loggers: [
      { category: ROOT, lowestLevel: level, sinks: ["lines"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
}

/** Takes the log down: nothing is written afterwards. */
export async function closeLog(): Promise<void> {
  await reset();
}

/** The logger of a part of the program. */
export function logger(tag: LogTag): Logger {
  return getLogger([ROOT, tag]);
}

/** Whether a level asks for stack traces and the like. */
export function isVerbose(level: LogLevel): boolean {
  return level === "debug" || level === "trace";
}

/** A record as one line, a newline at its end. */
export function formatRecord(record: LogRecord, color: boolean): string {
  const time = new Date(record.timestamp).toISOString().slice(11, 23);
  const level = levelName(record.level).padEnd(7);
  const tag = record.category.at(-1) ?? ROOT;
  const text = redact(record.message.map(partText).join(""));
  // One record is one line, whatever a value holds.
  const safe = text.replaceAll(/\p{Cc}+/gu, " ");
  return `${styled(time, "dim", color)} ${
    styled(level, LEVEL_STYLES[record.level], color)
  } [${tag}] ${safe}\n`;
}

/** The text without the keys in it. */
export function redact(text: string): string {
  return text.replaceAll(SECRETS, "(key)");
}

function levelName(level: SinkLevel): string {
  return level.toUpperCase();
}

function partText(part: unknown): string {
  if (typeof part === "string") return part;
  if (part instanceof Error) return part.message;
  return typeof part === "object" && part !== null
    ? Deno.inspect(part)
    : String(part);
}
