/** What a server's configuration comes to: tables, engine, interface, peers. */
import type { GatewayConfig } from "../core/engine/gateway.ts";
import { gatewayConfig } from "../core/engine/gateway_config.ts";
import { TCP_RELAY_DEFAULTS } from "../core/engine/tcp_relay_config.ts";
import { MAX_REDIRECTS } from "../core/flow/redirect_table.ts";
import { formatAddress, type Prefix } from "../core/wire/address.ts";
import type { PeerEndpoint } from "../core/wireguard/peer.ts";
import {
  type PeerConfig,
  peerPrefixes,
  type ServerConfig,
} from "../config/server_config.ts";
import { addressWords, hostRange } from "../config/prefix.ts";
import { DEFAULT_RELAY_LIMITS } from "../datapath/relay/relay_settings.ts";
import type { TunnelRelayOptions } from "./tunnel_relay.ts";
import type { NamedHost } from "../control/local_names.ts";
import type { DesiredPeer } from "../control/peer_sync.ts";
import type { SharedSizes } from "../datapath/shared_state.ts";
import type { InterfaceAddress, InterfaceConfig } from "../io/ports.ts";
import { resolveHost } from "../io/resolve_host.ts";

/** Peers that can be added while the server runs, beyond those it started with. */
const PEER_RESERVE = 1024;
const SESSIONS_PER_PEER = 4;
const PREFIX_NODES_PER_PEER = 8;
/** Remotes remembered per mapping, for filtering by address. */
const REMOTES_PER_MAPPING = 8;
const RING_BYTES = 1 << 20;
/** Rows of connections that have just ended: they rest before they are used again. */
const RESTING_CONNECTIONS = 8192;
/** Addresses from which the proxy sees clients come, beside its own. */
const PROXY_GENERATIONS = 64;
/** The name under which the gateway itself resolves. */
const GATEWAY_NAME = "gateway";

/** How large the tables must be. */
export function serverSizes(config: ServerConfig): SharedSizes {
  const peers = powerOfTwo(config.peers.length + PEER_RESERVE);
  const prefixes = config.peers.reduce(
    (sum, peer) => sum + peerPrefixes(peer).length,
    0,
  );
  const capacity = config.forward.udp.maxMappings;
  return {
    peers,
    sessions: peers * SESSIONS_PER_PEER,
    allowedIps: { nodes: prefixes * 2 + peers * PREFIX_NODES_PER_PEER },
    nat: {
      capacity,
      peers,
      remotes: powerOfTwo(Math.max(8, capacity * REMOTES_PER_MAPPING)),
    },
    redirects: tcpPolicy(config) === "proxy"
      ? {
        capacity: Math.min(
          MAX_REDIRECTS,
          config.forward.tcpProxy.maxConnections + RESTING_CONNECTIONS,
        ),
        peers,
        generations: PROXY_GENERATIONS,
        seed: crypto.getRandomValues(new Int32Array(1))[0],
      }
      : undefined,
    ringBytes: RING_BYTES,
  };
}

/** What becomes of TCP: without a TUN adapter the system's stack can't be had. */
export function tcpPolicy(config: ServerConfig): GatewayConfig["tcp"] {
  const { interface: tunnel, forward } = config;
  return forward.tcp === "proxy" && tunnel.tun === "none"
    ? "reject"
    : forward.tcp;
}

/** The TCP proxy; undefined where there is none. */
export function serverTcpProxy(
  config: ServerConfig,
): TunnelRelayOptions | undefined {
  if (tcpPolicy(config) !== "proxy") return undefined;
  const { interface: tunnel, forward: { tcpProxy } } = config;
  const find = (family: 4 | 6) => {
    const isInside = tunnel.addresses.some((own) => own.family === family);
    const prefix = tcpProxy.prefixes.find((one) => one.family === family);
    return isInside && prefix !== undefined ? proxyAddress(prefix) : undefined;
  };
  return {
    addresses: { ipv4: find(4), ipv6: find(6) },
    dialer: { kind: "direct" },
    limits: {
      ...DEFAULT_RELAY_LIMITS,
      connections: tcpProxy.maxConnections,
      connectTimeoutMs: tcpProxy.connectTimeoutMs,
      idleTimeoutMs: tcpProxy.idleTimeoutMs,
    },
    engine: {
      establishedTimeoutMs: tcpProxy.idleTimeoutMs,
      transitoryTimeoutMs: TCP_RELAY_DEFAULTS.transitoryTimeoutMs,
      maxConnectionsPerPeer: tcpProxy.maxConnectionsPerPeer,
      maxDialingPerPeer: tcpProxy.maxDialingPerPeer,
    },
  };
}

/** The proxy's own address in its prefix: the first that a host may have. */
function proxyAddress(prefix: Prefix): Prefix {
  return { ...prefix, words: addressWords(hostRange(prefix).first) };
}

/**
 * The gateway's policies.
 * @param outsideAddresses the host's own, 4 words each: where hairpins turn round.
 */
export function serverGateway(
  config: ServerConfig,
  outsideAddresses: Int32Array,
): GatewayConfig {
  const { interface: tunnel, forward } = config;
  const own = (family: 4 | 6) =>
    tunnel.addresses.find((address) => address.family === family);
  return gatewayConfig({
    address4: (own(4)?.words[3] ?? 0) >>> 0,
    address6: Int32Array.from(own(6)?.words ?? [0, 0, 0, 0]),
    subnets: tunnel.addresses,
    outsideAddresses,
    mtu: tunnel.mtu,
    host: tunnel.tun === "none" ? "absent" : forward.host,
    tcp: tcpPolicy(config),
    udp: forward.udp.policy === "allow" ? "nat" : "drop",
    icmp: forward.icmp.policy === "allow" ? "nat" : "drop",
    ipv6: forward.ipv6,
    filtering: forward.udp.filtering,
    udpTimeoutMs: forward.udp.mappingTimeoutMs,
    icmpTimeoutMs: forward.icmp.timeoutMs,
    maxMappingsPerPeer: forward.udp.maxMappingsPerPeer,
    portFirst: forward.udp.firstPort,
    portLast: forward.udp.lastPort,
  });
}

/** The host's interface; undefined where there is to be none. */
export function serverInterface(
  config: ServerConfig,
): InterfaceConfig | undefined {
  const { interface: tunnel } = config;
  if (tunnel.tun === "none") return undefined;
  return {
    name: tunnel.name,
    mtu: tunnel.mtu,
    up: true,
    addresses: [
      ...tunnel.addresses.map(interfaceAddress),
      ...proxyAddresses(config).map((prefix) => ({
        ...interfaceAddress(prefix),
        use: "listen-only" as const,
      })),
    ],
    routes: config.peers.flatMap((peer) => peer.allowedIps)
      .filter((prefix) => !isDefault(prefix))
      .map(({ words, length, family }) => ({
        words: Int32Array.from(words),
        prefixLength: length,
        family,
      })),
  };
}

function proxyAddresses(config: ServerConfig): Prefix[] {
  const { ipv4, ipv6 } = serverTcpProxy(config)?.addresses ?? {};
  return [ipv4, ipv6].flatMap((prefix) => prefix ?? []);
}

function interfaceAddress(prefix: Prefix): InterfaceAddress {
  const { words, length, family } = prefix;
  return { words: Int32Array.from(words), prefixLength: length, family };
}

/**
 * The peers as the device should have them.
 * @param onWarning told of endpoints that can't be resolved; such a peer is
 * added without one.
 */
export function serverPeers(
  config: ServerConfig,
  onWarning: (message: string) => void,
): Promise<DesiredPeer[]> {
  return Promise.all(config.peers.map(async (peer) => ({
    name: peer.name,
    publicKey: peer.publicKey,
    presharedKey: peer.presharedKey,
    prefixes: peerPrefixes(peer),
    endpoint: await peerEndpoint(peer, onWarning),
    persistentKeepaliveMs: peer.persistentKeepaliveMs,
  })));
}

/** The names that DNS knows: peers, and the gateway itself. */
export function serverNames(config: ServerConfig): NamedHost[] {
  const gateway = {
    name: GATEWAY_NAME,
    addresses: config.interface.addresses,
  };
  return [gateway, ...config.peers];
}

/** The gateway's own addresses as text. */
export function serverAddresses(config: ServerConfig): string[] {
  return config.interface.addresses.map(({ words }) => formatAddress(words));
}

async function peerEndpoint(
  peer: PeerConfig,
  onWarning: (message: string) => void,
): Promise<PeerEndpoint | undefined> {
  if (peer.endpoint === undefined) return undefined;
  const { host, port } = peer.endpoint;
  try {
    return { words: await resolveHost(host), port };
  } catch (error) {
    onWarning(`peer ${peer.name}: ${(error as Error).message}`);
    return undefined;
  }
}

function isDefault(prefix: Prefix): boolean {
  return prefix.length === 0;
}

function powerOfTwo(atLeast: number): number {
  return 1 << (32 - Math.clz32(Math.max(1, atLeast - 1)));
}
