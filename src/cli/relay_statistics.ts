/** A relay's figures as lines of text. */
import type {
  RelayCounters,
  RelaySnapshot,
} from "../datapath/relay/relay_counters.ts";
import { formatBytes, formatCount } from "./units.ts";

type Counts = RelaySnapshot["counts"];

/** How connections end other than by both sides finishing. */
const ENDINGS: readonly [text: string, key: keyof Counts][] = [
  ["finished", "Finished"],
  ["reset", "Reset"],
  ["idle", "Idle"],
  ["given up by the client", "Abandoned"],
  ["let in and never come", "NotAccepted"],
  ["limit", "Limited"],
  ["strays", "Strays"],
  ["pauses without descriptors", "OutOfDescriptors"],
  ["answers lost", "AnswersLost"],
];

/** All figures, a line each; failures to connect as `TCP failed: KIND N`. */
export function formatRelay(counters: RelayCounters): string[] {
  const { counts, failures } = counters.snapshot();
  const endings = ENDINGS.filter(([, key]) => counts[key] > 0)
    .map(([text, key]) => `${text} ${formatCount(counts[key])}`);
  return [
    `TCP: ${formatCount(counts.Open)} open, ${
      formatCount(counts.Dialing + counts.Entering)
    } connecting, ${formatCount(counts.Opened)} opened in all, ` +
    `${formatBytes(counts.BytesOut)} out, ${formatBytes(counts.BytesIn)} in`,
    ...(endings.length > 0 ? [`TCP ended: ${endings.join(", ")}`] : []),
    ...Object.entries(failures).map(([kind, count]) =>
      `TCP failed: ${kind} ${formatCount(count)}`
    ),
  ];
}
