/** A client's figures, for the status line and as lines of text. */
import { formatDuration } from "../config/duration.ts";
import type { ClientEngine } from "../control/client_engine.ts";
import type { ClientStatus } from "../control/client_port.ts";
import type { Attended } from "./attend.ts";
import type { RunningClient } from "./running_client.ts";
import type { Moment } from "./status_line.ts";
import { formatBitRate, formatBytes, formatCount } from "./units.ts";

/** The figures of the status line; totals since the start. */
export interface ClientSnapshot extends Moment {
  readonly tunnels: number;
  readonly tunnelsUp: number;
  readonly flows: ClientStatus["flows"];
  readonly paused: boolean;
  readonly outBytes: number;
  readonly inBytes: number;
  readonly drops: number;
}

/** Ways of packets by the names of their counters. */
const TRAFFIC_TEXT: Readonly<Record<string, string>> = {
  FromHost: "from programs",
  ToHost: "to programs",
  FromTunnel: "from packet tunnels",
  ToTunnel: "to packet tunnels",
  FromOutside: "from outside sockets",
  ToOutside: "to outside sockets",
};

/** A client as {@linkcode attend} asks it. */
export function attendedClient(
  client: RunningClient,
): Attended<ClientSnapshot> {
  return {
    snapshot: () => snapshot(client),
    statistics: () =>
      formatClientStatistics(client.status(), client.engine.statistics()),
  };
}

/** The status line: rates over the time since `previous`. */
export function formatClientLine(
  now: ClientSnapshot,
  previous?: ClientSnapshot,
): string {
  const seconds = previous === undefined
    ? 0
    : (now.uptimeMs - previous.uptimeMs) / 1000;
  const rate = (key: "inBytes" | "outBytes") =>
    formatBitRate(seconds > 0 ? (now[key] - previous![key]) * 8 / seconds : 0);
  const { flows } = now;
  const newDrops = previous === undefined ? 0 : now.drops - previous.drops;
  return [
    `up ${formatDuration(Math.floor(now.uptimeMs / 1000) * 1000)}`,
    ...(now.paused ? ["PAUSED"] : []),
    `tunnels ${now.tunnelsUp}/${now.tunnels}`,
    `flows ${formatCount(flows.total)} (${
      formatCount(flows.tunnelled)
    } in tunnels, ${formatCount(flows.direct)} direct)`,
    `out ${rate("outBytes")} ${formatBytes(now.outBytes)}`,
    `in ${rate("inBytes")} ${formatBytes(now.inBytes)}`,
    `drops ${formatCount(now.drops)}${
      newDrops > 0 ? ` (+${formatCount(newDrops)})` : ""
    }`,
  ].join(" | ");
}

/** All figures, a line each; drops as `drops: REASON N`. */
export function formatClientStatistics(
  status: ClientStatus,
  statistics: ReturnType<ClientEngine["statistics"]>,
): string[] {
  const { counters, verdicts, relay } = statistics;
  const { traffic, drops } = counters;
  return [
    ...Object.entries(traffic).filter(([, { packets }]) => packets > 0).map(
      ([name, { packets, bytes }]) =>
        `${TRAFFIC_TEXT[name] ?? name}: ${formatCount(packets)} packets ${
          formatBytes(bytes)
        }`,
    ),
    ...verdicts.filter(({ packets }) => packets > 0).map((
      { protocol, verdict, packets, bytes },
    ) =>
      `${protocol} ${verdict}: ${formatCount(packets)} packets ${
        formatBytes(bytes)
      }`
    ),
    ...status.tunnels.map((tunnel) =>
      `tunnel ${tunnel.name}: ${tunnel.state}, sent ${
        formatBytes(tunnel.sentBytes)
      }, received ${formatBytes(tunnel.receivedBytes)}`
    ),
    ...namedCounts(relay, "relay"),
    ...namedCounts(status.counters, "control"),
    ...namedCounts(drops, "drops"),
  ];
}

function namedCounts(
  counts: Readonly<Record<string, number | undefined>>,
  what: string,
): string[] {
  return Object.entries(counts).filter(([, count]) => (count ?? 0) > 0)
    .map(([name, count]) => `${what}: ${name} ${formatCount(count ?? 0)}`);
}

function snapshot(client: RunningClient): ClientSnapshot {
  const { tunnels, flows, mode, uptimeMs } = client.status();
  const { counters: { traffic, drops } } = client.engine.statistics();
  const up = tunnels.filter(({ state }) =>
    state === "up" || state === "degraded"
  );
  return {
    uptimeMs,
    tunnels: tunnels.length,
    tunnelsUp: up.length,
    flows,
    paused: mode === "paused",
    outBytes: traffic.FromHost.bytes,
    inBytes: traffic.ToHost.bytes,
    drops: Object.values(drops).reduce((sum, count) => sum + count, 0),
  };
}
