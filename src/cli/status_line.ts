/**
 * How a tunnel is doing: on a terminal one line that is rewritten in place,
 * elsewhere a plain line now and then. Log lines go through the same object, so
 * that the two never mix.
 */
import { formatDuration } from "../config/duration.ts";
import { formatBitRate, formatBytes, formatCount } from "./units.ts";

/** The figures of a moment; all totals since the start. */
export interface StatusSnapshot {
  /** Peers configured, and those with a session. */
  readonly peers: number;
  readonly connectedPeers: number;
  /** From the peers. */
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  /** To the peers. */
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly drops: number;
  /** TCP connections open through the proxy; undefined where there is none. */
  readonly connections?: number;
  readonly uptimeMs: number;
}

/** Figures of a moment. */
export interface Moment {
  readonly uptimeMs: number;
}

/** Where and how the line goes. */
export interface StatusLineOptions<S extends Moment> {
  readonly write: (text: string) => void;
  /** The line's text; `previous` are the figures that it last showed. */
  readonly format: (now: S, previous?: S) => string;
  /** `live` rewrites one line, `plain` prints a line every `plainIntervalMs`. */
  readonly mode: "live" | "plain";
  /** The terminal's width in characters. */
  readonly columns?: () => number;
  /** Between two plain lines; 60 s by default. */
  readonly plainIntervalMs?: number;
}

const DEFAULT_COLUMNS = 80;
const DEFAULT_PLAIN_INTERVAL_MS = 60_000;
/** Return to the line's start and clear it (ECMA-48). */
const CLEAR = "\r\x1b[K";

/** The line as text: rates over the time since `previous`, totals beside them. */
export function formatStatus(
  now: StatusSnapshot,
  previous?: StatusSnapshot,
): string {
  const seconds = previous === undefined
    ? 0
    : (now.uptimeMs - previous.uptimeMs) / 1000;
  const bits = (key: "receivedBytes" | "sentBytes") =>
    formatBitRate(seconds > 0 ? (now[key] - previous![key]) * 8 / seconds : 0);
  const newDrops = previous === undefined ? 0 : now.drops - previous.drops;
  const parts = [
    `up ${formatDuration(Math.floor(now.uptimeMs / 1000) * 1000)}`,
    `peers ${now.connectedPeers}/${now.peers}`,
    `in ${bits("receivedBytes")} ${formatBytes(now.receivedBytes)} ${
      formatCount(now.receivedPackets)
    } packets`,
    `out ${bits("sentBytes")} ${formatBytes(now.sentBytes)} ${
      formatCount(now.sentPackets)
    } packets`,
    ...(now.connections === undefined
      ? []
      : [`tcp ${formatCount(now.connections)}`]),
    `drops ${formatCount(now.drops)}${
      newDrops > 0 ? ` (+${formatCount(newDrops)})` : ""
    }`,
  ];
  return parts.join(" | ");
}

/** The line shortened to a terminal's width, so that it never wraps. */
export function fitLine(text: string, columns: number): string {
  const width = Math.max(1, columns - 1);
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** The line; `update` it often, `print` everything else through it. */
export class StatusLine<S extends Moment> implements Disposable {
  readonly #options: StatusLineOptions<S>;
  #previous: S | undefined;
  #shown = "";
  #lastPlainMs = 0;

  constructor(options: StatusLineOptions<S>) {
    this.#options = options;
  }

  /** Shows new figures: at once on a terminal, else when it is time. */
  update(snapshot: S): void {
    const { write, mode, format, columns, plainIntervalMs } = this.#options;
    if (mode === "plain") {
      const interval = plainIntervalMs ?? DEFAULT_PLAIN_INTERVAL_MS;
      if (snapshot.uptimeMs - this.#lastPlainMs < interval) return;
      write(format(snapshot, this.#previous) + "\n");
      this.#lastPlainMs = snapshot.uptimeMs;
    } else {
      const text = format(snapshot, this.#previous);
      this.#shown = fitLine(text, columns?.() ?? DEFAULT_COLUMNS);
      write(CLEAR + this.#shown);
    }
    this.#previous = snapshot;
  }

  /** Writes whole lines above the live one. */
  print(lines: string): void {
    const { write } = this.#options;
    write(this.#shown === "" ? lines : `${CLEAR}${lines}${this.#shown}`);
  }

  /** Leaves the last figures as a line of their own. */
  [Symbol.dispose](): void {
    if (this.#shown !== "") this.#options.write("\n");
    this.#shown = "";
  }
}
