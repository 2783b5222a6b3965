/** A TUN stack's figures, for the status line and as lines of text. */
import type { Traffic } from "../core/columns/counters.ts";
import type { VerdictTraffic } from "../core/columns/verdict_counters.ts";
import { formatDuration } from "../config/duration.ts";
import type { Attended } from "./attend.ts";
import { formatRelay } from "./relay_statistics.ts";
import type { Moment } from "./status_line.ts";
import type { Tun2socksProcess } from "./tun2socks_process.ts";
import { formatBitRate, formatBytes, formatCount } from "./units.ts";

/** The figures of the status line; totals since the start. */
export interface Tun2socksSnapshot extends Moment {
  /** TCP connections at the moment, and those being made. */
  readonly connections: number;
  readonly dialing: number;
  /** UDP sessions, or mappings, at the moment. */
  readonly sessions: number;
  /** Payload from programs to the outside, and back. */
  readonly outBytes: number;
  readonly inBytes: number;
  /** Connections that could not be made. */
  readonly failed: number;
  readonly drops: number;
}

/** Where a stack counts. */
export type StackFigures = Pick<Tun2socksProcess, "tables" | "relay" | "udp">;

/** What a verdict came to, as text behind the protocol's name. */
const VERDICT_TEXT: Readonly<Record<VerdictTraffic["verdict"], string>> = {
  Undecided: "undecided",
  Drop: "dropped",
  ToPeer: "to programs",
  ToHost: "to the relay",
  ToUdp: "to the outside",
  ToEcho: "to the outside",
  ToControl: "to the control thread",
  Held: "held",
  ToRelay: "new connections",
  ToRelayUdp: "to the proxy",
  ToTunnel: "into a tunnel",
  Pass: "passed on",
};

/** A TUN stack as {@linkcode attend} asks it. */
export function attendedStack(
  process: Tun2socksProcess,
): Attended<Tun2socksSnapshot> {
  const startedAt = process.now();
  return {
    snapshot: () => snapshot(process, startedAt),
    statistics: () => formatStackStatistics(process),
  };
}

/** The status line: rates over the time since `previous`, totals beside them. */
export function formatStackStatus(
  now: Tun2socksSnapshot,
  previous?: Tun2socksSnapshot,
): string {
  const seconds = previous === undefined
    ? 0
    : (now.uptimeMs - previous.uptimeMs) / 1000;
  const rate = (key: "inBytes" | "outBytes") =>
    formatBitRate(seconds > 0 ? (now[key] - previous![key]) * 8 / seconds : 0);
  const more = (key: "failed" | "drops") => {
    const added = previous === undefined ? 0 : now[key] - previous[key];
    return added > 0 ? ` (+${formatCount(added)})` : "";
  };
  return [
    `up ${formatDuration(Math.floor(now.uptimeMs / 1000) * 1000)}`,
    `TCP ${formatCount(now.connections)}${
      now.dialing > 0 ? ` (${formatCount(now.dialing)} dialing)` : ""
    }`,
    `UDP ${formatCount(now.sessions)}`,
    `out ${rate("outBytes")} ${formatBytes(now.outBytes)}`,
    `in ${rate("inBytes")} ${formatBytes(now.inBytes)}`,
    `failed ${formatCount(now.failed)}${more("failed")}`,
    `drops ${formatCount(now.drops)}${more("drops")}`,
  ].join(" | ");
}

/** All figures, a line each; drops as `drops: REASON N`. */
export function formatStackStatistics(figures: StackFigures): string[] {
  const { tables, relay, udp } = figures;
  const { traffic, drops } = tables.counters.snapshot();
  const verdicts = tables.verdicts.snapshot();
  const datagrams = udp.snapshot();
  return [
    `from the interface: ${trafficText(traffic.FromHost)}`,
    `to the interface: ${trafficText(traffic.ToHost)}`,
    `from outside sockets: ${trafficText(traffic.FromOutside)}`,
    `to outside sockets: ${trafficText(traffic.ToOutside)}`,
    ...verdicts.map((line) =>
      `${line.protocol} ${VERDICT_TEXT[line.verdict]}: ${trafficText(line)}`
    ),
    ...formatRelay(relay),
    `UDP mappings: ${formatCount(tables.nat.size)}`,
    `UDP sessions: ${formatCount(datagrams.sessionsOpen)} open, ${
      formatCount(datagrams.sessionsOpened)
    } opened, ${formatCount(datagrams.associationsFailed)} failed`,
    `UDP by the proxy: out ${formatCount(datagrams.datagramsOut)} datagrams ${
      formatBytes(datagrams.bytesOut)
    }, in ${formatCount(datagrams.datagramsIn)} datagrams ${
      formatBytes(datagrams.bytesIn)
    }`,
    ...(datagrams.dnsQueries > 0
      ? [
        `DNS over TCP: ${formatCount(datagrams.dnsQueries)} queries, ${
          formatCount(datagrams.dnsAnswers)
        } answers`,
      ]
      : []),
    ...Object.entries({ ...drops, ...udp.drops() }).map(([reason, count]) =>
      `drops: ${reason} ${formatCount(count)}`
    ),
  ];
}

function snapshot(
  process: Tun2socksProcess,
  startedAt: number,
): Tun2socksSnapshot {
  const { tables, relay, udp, now } = process;
  const { traffic, drops } = tables.counters.snapshot();
  const { counts, failures } = relay.snapshot();
  return {
    uptimeMs: now() - startedAt,
    connections: counts.Open,
    dialing: counts.Dialing + counts.Entering,
    sessions: udp.get("sessionsOpen") + tables.nat.size,
    outBytes: counts.BytesOut + udp.get("bytesOut") + traffic.ToOutside.bytes,
    inBytes: counts.BytesIn + udp.get("bytesIn") + traffic.FromOutside.bytes,
    failed: total(failures),
    drops: total(drops) + total(udp.drops()),
  };
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function trafficText({ packets, bytes }: Traffic): string {
  return `${formatCount(packets)} packets ${formatBytes(bytes)}`;
}
