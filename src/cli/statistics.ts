/** A tunnel's figures, for the status line and as lines of text. */
import {
  type CountersSnapshot,
  sumCounters,
} from "../core/columns/counters.ts";
import { RelayCount } from "../datapath/relay/relay_counters.ts";
import type { Attended } from "./attend.ts";
import type { StatusSnapshot } from "./status_line.ts";
import type { TunnelProcess } from "./tunnel_process.ts";
import { formatRelay } from "./relay_statistics.ts";
import { formatBytes, formatCount } from "./units.ts";

/** A peer without a handshake for this long has no session (REJECT_AFTER_TIME). */
const SESSION_MS = 180_000;

/** A tunnel as {@linkcode attend} asks it. */
export function attendedTunnel(
  tunnel: TunnelProcess,
): Attended<StatusSnapshot> {
  const startedAt = tunnel.now();
  return {
    snapshot: () => statusSnapshot(tunnel, startedAt),
    statistics: () => formatStatistics(tunnel),
  };
}

/** The sum of all threads' counters. */
export function tunnelCounters(tunnel: TunnelProcess): CountersSnapshot {
  return sumCounters(tunnel.tables.counters);
}

/** The figures of the status line. */
export function statusSnapshot(
  tunnel: TunnelProcess,
  startedAt: number,
): StatusSnapshot {
  const { device, tables, now } = tunnel;
  const { traffic, drops } = tunnelCounters(tunnel);
  const rows = device.peers.rows();
  const time = now();
  const connected = rows.filter((row) => {
    const at = tables.peers.lastHandshakeAt[row];
    return at > 0 && time - at < SESSION_MS;
  });
  return {
    peers: rows.length,
    connectedPeers: connected.length,
    receivedPackets: traffic.FromTunnel.packets,
    receivedBytes: traffic.FromTunnel.bytes,
    sentPackets: traffic.ToTunnel.packets,
    sentBytes: traffic.ToTunnel.bytes,
    drops: Object.values(drops).reduce((sum, count) => sum + count, 0),
    connections: tunnel.relayCounters?.get(RelayCount.Open),
    uptimeMs: time - startedAt,
  };
}

/** All figures, a line each; drops as `drops: REASON N`. */
export function formatStatistics(tunnel: TunnelProcess): string[] {
  const { traffic, drops } = tunnelCounters(tunnel);
  const { device, tables, relayCounters } = tunnel;
  const flows = ([
    ["from peers", traffic.FromTunnel],
    ["to peers", traffic.ToTunnel],
    ["from host", traffic.FromHost],
    ["to host", traffic.ToHost],
    ["from outside", traffic.FromOutside],
    ["to outside", traffic.ToOutside],
  ] as const).map(([name, { packets, bytes }]) =>
    `${name}: ${formatCount(packets)} packets ${formatBytes(bytes)}`
  );
  const counters = device.counters;
  const handshakes = Object.entries(counters)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${words(name)} ${count}`);
  return [
    ...flows,
    ...(tables.nat === undefined ? [] : [`mappings: ${tables.nat.size}`]),
    ...(relayCounters === undefined ? [] : formatRelay(relayCounters)),
    ...(tables.redirects === undefined
      ? []
      : [`TCP redirects: ${formatCount(tables.redirects.size)}`]),
    `handshakes: ${handshakes.join(", ") || "none"}`,
    ...Object.entries(drops).map(([reason, count]) =>
      `drops: ${reason} ${count}`
    ),
  ];
}

/** `initiationsSent` as `initiations sent`. */
function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
