/** Peers as tables, as details and as JSON. Never a secret key. */
import { formatPrefix } from "../core/wire/address.ts";
import { formatDuration } from "../config/duration.ts";
import { formatHostPort } from "../config/endpoint.ts";
import { formatKey } from "../config/keys.ts";
import type { PeerConfig, ServerConfig } from "../config/server_config.ts";
import type { LivePeer, LivePeers } from "../control/uapi_client.ts";
import { formatTable } from "./output.ts";
import { formatAge, formatBytes } from "./units.ts";

/** A peer for scripts: `--json`. */
export interface PeerJson {
  readonly name: string;
  readonly publicKey: string;
  readonly presharedKey: boolean;
  readonly addresses: readonly string[];
  readonly allowedIps: readonly string[];
  readonly persistentKeepaliveSeconds: number;
  /** The configured endpoint, or the live one where the gateway runs; else null. */
  readonly endpoint: string | null;
  /** ISO 8601; null where there was none or the gateway does not run. */
  readonly lastHandshake: string | null;
  /** Bytes from the peer; null where the gateway does not run. */
  readonly receivedBytes: number | null;
  /** Bytes to the peer; null where the gateway does not run. */
  readonly sentBytes: number | null;
}

/** A table of peers; with traffic where `live` is there. */
export function peerTable(
  peers: readonly PeerConfig[],
  live: LivePeers | undefined,
  nowMs: number,
): string {
  const title = live === undefined
    ? ["NAME", "ADDRESSES", "PUBLIC KEY"]
    : ["NAME", "ADDRESSES", "ENDPOINT", "HANDSHAKE", "RECEIVED", "SENT"];
  const rows = peers.map((peer) => {
    const { name, addresses, publicKey } = peer;
    const first = [name, addresses.map(formatPrefix).join(" ")];
    if (live === undefined) return [...first, formatKey(publicKey)];
    const state = live.get(formatKey(publicKey));
    return [...first, endpointText(peer, state), ...liveTexts(state, nowMs)];
  });
  return formatTable([title, ...rows]);
}

/** Everything about one peer, a line each. */
export function peerDetails(
  peer: PeerConfig,
  config: ServerConfig,
  live: LivePeers | undefined,
  nowMs: number,
): string {
  const state = live?.get(formatKey(peer.publicKey));
  const [handshake, received, sent] = liveTexts(state, nowMs);
  const keepalive = peer.persistentKeepaliveMs;
  const rows = [
    ["name", `${peer.name} (${peer.name.toLowerCase()}.${config.dns.domain})`],
    ["public key", formatKey(peer.publicKey)],
    ["preshared key", peer.presharedKey === undefined ? "none" : "set"],
    ["addresses", peer.addresses.map(formatPrefix).join(" ")],
  ];
  if (peer.allowedIps.length > 0) {
    rows.push(["behind it", peer.allowedIps.map(formatPrefix).join(" ")]);
  }
  if (keepalive > 0) rows.push(["keepalive", formatDuration(keepalive)]);
  rows.push(["endpoint", endpointText(peer, state)]);
  if (live === undefined) {
    rows.push([
      "state",
      `unknown: no answer from a running gateway ${config.interface.name}`,
    ]);
  } else {
    rows.push(["handshake", handshake], ["received", received], ["sent", sent]);
  }
  return formatTable(rows);
}

/** A peer for `--json`. */
export function peerJson(
  peer: PeerConfig,
  live: LivePeers | undefined,
): PeerJson {
  const state = live?.get(formatKey(peer.publicKey));
  const { lastHandshakeMs = 0 } = state ?? {};
  const endpoint = endpointText(peer, state);
  return {
    name: peer.name,
    publicKey: formatKey(peer.publicKey),
    presharedKey: peer.presharedKey !== undefined,
    addresses: peer.addresses.map(formatPrefix),
    allowedIps: peer.allowedIps.map(formatPrefix),
    persistentKeepaliveSeconds: peer.persistentKeepaliveMs / 1000,
    endpoint: endpoint === NOTHING ? null : endpoint,
    lastHandshake: lastHandshakeMs === 0
      ? null
      : new Date(lastHandshakeMs).toISOString(),
    receivedBytes: state?.rxBytes ?? null,
    sentBytes: state?.txBytes ?? null,
  };
}

const NOTHING = "-";

function endpointText(peer: PeerConfig, state: LivePeer | undefined): string {
  if (state?.endpoint !== undefined) return state.endpoint;
  return peer.endpoint === undefined ? NOTHING : formatHostPort(peer.endpoint);
}

function liveTexts(
  state: LivePeer | undefined,
  nowMs: number,
): [handshake: string, received: string, sent: string] {
  if (state === undefined) return [NOTHING, NOTHING, NOTHING];
  const { lastHandshakeMs } = state;
  return [
    lastHandshakeMs === 0 ? "never" : formatAge(nowMs - lastHandshakeMs),
    formatBytes(state.rxBytes),
    formatBytes(state.txBytes),
  ];
}
