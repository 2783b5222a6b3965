/** The demo's table: what was sent where, what came back, how fast. */

import { quantile } from "../../tests/bench/statistics.ts";

/** One line of it. */
export interface Row {
  readonly what: string;
  readonly to: string;
  readonly sent: number;
  /** Answers, or datagrams that arrived. */
  readonly back: number;
  /** Round-trip times; empty where there are none. */
  readonly timesMs: readonly number[];
  readonly megabitsPerSecond?: number;
  /** Whether it went as it should. */
  readonly held: boolean;
}

/** A row for requests that must all be answered. */
export function rowOfTimes(
  what: string,
  to: string,
  sent: number,
  timesMs: readonly number[],
): Row {
  const back = timesMs.length;
  return { what, to, sent, back, timesMs, held: back === sent };
}

/** Aligns columns: the first two to the left, numbers to the right. */
export function formatTable(rows: readonly Row[]): string {
  const lines = [
    ["what", "to", "sent", "back", "median ms", "p99 ms", "Mbit/s", ""],
    ...rows.map((row) => [
      row.what,
      row.to,
      String(row.sent),
      String(row.back),
      formatMs(quantile(row.timesMs, 0.5)),
      formatMs(quantile(row.timesMs, 0.99)),
      row.megabitsPerSecond?.toFixed(0) ?? "",
      row.held ? "ok" : "FAILED",
    ]),
  ];
  const widths = lines[0].map((_, i) =>
    Math.max(...lines.map((line) => line[i].length))
  );
  return lines.map((line) =>
    line.map((text, i) =>
      i < 2 ? text.padEnd(widths[i]) : text.padStart(widths[i])
    ).join("  ")
  ).join("\n");
}

function formatMs(ms: number): string {
  return Number.isNaN(ms) ? "" : ms.toFixed(2);
}

/** The server's last counters: what passed it, and what it dropped and why. */
export function formatDrops(lines: readonly string[]): string {
  const counters = lines.flatMap((line) => {
    const match = line.match(
      /\] ((?:from|to) (?:peers|host|outside): .*|drops: .*)$/,
    );
    return match ? [`  ${match[1]}`] : [];
  });
  return ["", "the gateway counted:", ...counters, ""].join("\n");
}
