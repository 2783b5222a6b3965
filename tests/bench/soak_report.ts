/** What minutes of load came to: the run in five parts beside each other. */
import { formatTable } from "./report.ts";
import { median } from "./statistics.ts";

const PARTS = 5;
/** Which way the stream goes. */
export const DIRECTIONS = ["to server", "to client"] as const;

/** What was found in ten seconds. */
export interface Sample {
  readonly direction: typeof DIRECTIONS[number];
  readonly gigabits: number;
  /** Resident memory, MB. */
  readonly server: number;
  readonly client: number;
  /** Longest time without an echo, and greatest round-trip time, ms. */
  readonly pauseMs: number;
  readonly roundTripMs: number;
  /** Longest time without an echo over the bare link, ms. */
  readonly linkPauseMs: number;
}

/** A sample as a line of text. */
export function describeSample(sample: Sample): string {
  const { direction, gigabits, server, client, pauseMs, roundTripMs } = sample;
  return [
    `${direction} ${gigabits.toFixed(2)} Gbit/s`,
    `server ${server.toFixed(0)} MB`,
    `client ${client.toFixed(0)} MB`,
    `longest pause ${pauseMs.toFixed(0)} ms`,
    `longest round trip ${roundTripMs.toFixed(1)} ms`,
    `longest pause of the link ${sample.linkPauseMs.toFixed(0)} ms`,
  ].join(", ");
}

/** What the samples of a part come to. */
function summarize(samples: readonly Sample[]) {
  const speed = (direction: Sample["direction"]) =>
    mean(
      samples.filter((s) => s.direction === direction).map((s) => s.gigabits),
    );
  const greatest = (of: (sample: Sample) => number) =>
    Math.max(...samples.map(of));
  return {
    toServer: speed("to server"),
    toClient: speed("to client"),
    server: median(samples.map((sample) => sample.server)),
    client: median(samples.map((sample) => sample.client)),
    pauseMs: greatest((sample) => sample.pauseMs),
    roundTripMs: greatest((sample) => sample.roundTripMs),
    linkPauseMs: greatest((sample) => sample.linkPauseMs),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The turns in five parts of (nearly) the same length; fewer where there are fewer. */
function split(turns: readonly Sample[][]): Sample[][] {
  const parts = Math.min(PARTS, Math.max(1, turns.length >> 1));
  return Array.from({ length: parts }, (_, i) => {
    const [from, to] = [i, i + 1].map((n) =>
      Math.round(n * turns.length / parts)
    );
    return turns.slice(from, to).flat();
  });
}

/** The table: the parts beside each other, and the last against the first. */
export function formatSoak(turns: readonly Sample[][], echoes: string): string {
  const parts = split(turns).map(summarize);
  const [first, last] = [parts[0], parts.at(-1)!];
  const all = summarize(turns.flat());
  const change = (of: (part: typeof first) => number) =>
    `${((of(last) / of(first) - 1) * 100).toFixed(1)} %`;
  const row = (name: string, part: typeof first) => [
    name,
    part.toServer.toFixed(2),
    part.toClient.toFixed(2),
    part.server.toFixed(1),
    part.client.toFixed(1),
    part.pauseMs.toFixed(0),
    part.roundTripMs.toFixed(1),
    part.linkPauseMs.toFixed(0),
  ];
  const table = formatTable([
    [
      "part",
      "to server, Gbit/s",
      "to client, Gbit/s",
      "server, MB",
      "client, MB",
      "longest pause, ms",
      "longest round trip, ms",
      "longest pause of the link, ms",
    ],
    ...parts.map((part, i) => row(`${i + 1} of ${parts.length}`, part)),
    row("all", all),
    [
      "last against first",
      change((part) => part.toServer),
      change((part) => part.toClient),
      change((part) => part.server),
      change((part) => part.client),
      "",
      "",
      "",
    ],
  ]);
  return `${table}\n\nEchoes: ${echoes}.`;
}
