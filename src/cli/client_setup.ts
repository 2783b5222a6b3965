/** What a client's .conf file comes to: interface, routes, peers. */
import { type Prefix, prefixContains } from "../core/wire/address.ts";
import type { WgConf, WgPeer } from "../config/wg_conf.ts";
import type { DesiredPeer } from "../control/peer_sync.ts";
import type { SharedSizes } from "../datapath/shared_state.ts";
import type { InterfaceConfig, InterfaceRoute } from "../io/ports.ts";
import { resolveHost } from "../io/resolve_host.ts";

/** The MTU where the file names none. */
export const DEFAULT_MTU = 1420;

const RING_BYTES = 1 << 20;
const HALF_BIT = 0x80000000 | 0;

/** How large the tables must be. */
export function clientSizes(conf: WgConf): SharedSizes {
  let peers = 16;
  while (peers < conf.peers.length * 2) peers *= 2;
  const prefixes = conf.peers.flatMap((peer) => peer.allowedIps).length;
  return {
    peers,
    sessions: peers * 4,
    allowedIps: { nodes: prefixes * 2 + 256 },
    nat: undefined,
    ringBytes: RING_BYTES,
  };
}

/** The host's interface with its addresses and the routes to all peers. */
export function clientInterface(conf: WgConf, name: string): InterfaceConfig {
  return {
    name,
    mtu: conf.interface.mtu ?? DEFAULT_MTU,
    up: true,
    addresses: conf.interface.addresses.map(({ words, length, family }) => ({
      words: Int32Array.from(words),
      prefixLength: length,
      family,
    })),
    routes: conf.peers.flatMap((peer) => peer.allowedIps).flatMap(routesOf),
  };
}

/**
 * The peers as the device should have them.
 * @throws {ResolveError} where an endpoint's name has no address.
 */
export function clientPeers(conf: WgConf): Promise<DesiredPeer[]> {
  return Promise.all(conf.peers.map(async (peer) => ({
    name: peerName(peer),
    publicKey: peer.publicKey,
    presharedKey: peer.presharedKey,
    prefixes: peer.allowedIps,
    endpoint: peer.endpoint && {
      words: await resolveHost(peer.endpoint.host),
      port: peer.endpoint.port,
    },
    persistentKeepaliveMs: peer.persistentKeepalive * 1000,
  })));
}

/** Whether a tunnel's routes would carry its own messages. */
export function coversOwnEndpoint(peers: readonly DesiredPeer[]): boolean {
  const prefixes = peers.flatMap((peer) => peer.prefixes);
  return peers.some(({ endpoint }) =>
    endpoint !== undefined &&
    prefixes.some((prefix) => prefixContains(prefix, endpoint.words))
  );
}

function peerName(peer: WgPeer): string {
  return peer.endpoint === undefined
    ? "peer"
    : `${peer.endpoint.host}:${peer.endpoint.port}`;
}

/**
 * A default route as two halves, which go before the host's own default route
 * without touching it.
 */
export function routesOf(prefix: Prefix): InterfaceRoute[] {
  const { family, length } = prefix;
  const words = Int32Array.from(prefix.words);
  if (length > 0) return [{ words, prefixLength: length, family }];
  const high = words.slice();
  high[family === 4 ? 3 : 0] = HALF_BIT;
  return [words, high].map((half) => ({
    words: half,
    prefixLength: 1,
    family,
  }));
}
