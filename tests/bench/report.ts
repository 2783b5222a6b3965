/** Results as a Markdown table, printed and kept in RESULTS.md. */
import { describe, medianRatio } from "./statistics.ts";
import type { Series } from "./throughput.ts";

const DIGITS: Record<string, number> = {
  "Gbit/s": 2,
  kpps: 1,
  ms: 2,
  MB: 0,
  "ms/GB": 0,
  "µs": 0,
  "/s": 0,
};
const RESULTS = new URL("./RESULTS.md", import.meta.url);

/** The table: medians with their range, and the ratio of each to the first. */
export function formatSeries(
  series: readonly Series[],
  names: readonly string[],
): string {
  const rows = [
    ["measure", "unit", ...names, ...ratioHeads(names)],
    ...series.map((row) => formatRow(row, names)),
  ];
  return formatTable(rows);
}

/** Rows as a Markdown table; the first is its head. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, i) =>
    Math.max(...rows.map((row) => row[i].length))
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  const rule = line(widths.map((width) => "-".repeat(width)));
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join("\n");
}

function ratioHeads(names: readonly string[]): string[] {
  return names.slice(1).map((name) => `${name} / ${names[0]}`);
}

function formatRow(row: Series, names: readonly string[]): string[] {
  const digits = DIGITS[row.unit] ?? 2;
  const values = names.map((name) => row.values.get(name) ?? []);
  const ratios = values.slice(1).map((ours) => {
    const ratio = medianRatio(ours, values[0]);
    // Nothing of its own to measure, or nothing happened at all.
    if (Number.isNaN(ratio)) return "";
    const good = row.better === "more" ? ratio >= 1 : ratio <= 1;
    return `${ratio.toFixed(2)}${good ? "" : " (worse)"}`;
  });
  return [
    row.name,
    row.unit,
    ...values.map((all) => all.some(Number.isNaN) ? "" : describe(all, digits)),
    ...ratios,
  ];
}

/** Puts a section into RESULTS.md, in the place of the one with the same title. */
export async function writeSection(
  title: string,
  body: string,
): Promise<void> {
  const text = await Deno.readTextFile(RESULTS).catch(() => "# Results\n");
  const section = `## ${title}\n\n${body}\n`;
  const parts = text.split(/^(?=## )/m);
  const at = parts.findIndex((part) => part.startsWith(`## ${title}\n`));
  if (at >= 0) parts[at] = section;
  else parts.push(section);
  const joined = parts.map((part) => part.trimEnd()).join("\n\n");
  await Deno.writeTextFile(RESULTS, joined + "\n");
}
