/**
 * The server's configuration as the program uses it: numbers, bytes and
 * parsed addresses, units in the names. Made from a document that has passed
 * the schema and the rules.
 */
import type { Prefix } from "../core/wire/address.ts";
import type { AmneziaParameters } from "../core/wireguard/amnezia.ts";
import { amneziaParameters } from "./amnezia_config.ts";
import {
  type DnsUpstream,
  dnsUpstream,
  milliseconds,
  sure,
} from "./checked_values.ts";
import { type HostPort, parseHostPort } from "./endpoint.ts";
import { parseKey, publicKeyOf } from "./keys.ts";
import { readPrefix } from "./prefix.ts";
import type { ServerDocument } from "./server_schema.ts";

/** The tunnel. */
export interface InterfaceConfig {
  readonly name: string;
  readonly tun: ServerDocument["interface"]["tun"];
  /** The gateway's addresses, host bits kept; the prefix is where peers live. */
  readonly addresses: readonly Prefix[];
  /** Bytes. */
  readonly mtu: number;
  /** 0 takes any free port. */
  readonly listenPort: number;
  /** What clients are told; undefined where the user gave none. */
  readonly publicEndpoint: HostPort | undefined;
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
  /** Undefined for plain WireGuard. */
  readonly amnezia: AmneziaParameters | undefined;
}

/** UDP to the outside. */
export interface UdpForwardConfig {
  readonly policy: "allow" | "drop";
  readonly firstPort: number;
  readonly lastPort: number;
  readonly mappingTimeoutMs: number;
  readonly filtering: ServerDocument["forward"]["udp"]["filtering"];
  readonly maxMappings: number;
  readonly maxMappingsPerPeer: number;
}

/** TCP to the outside by proxy. */
export interface TcpProxyConfig {
  /** At most one of each family. */
  readonly prefixes: readonly Prefix[];
  readonly maxConnections: number;
  readonly maxConnectionsPerPeer: number;
  readonly maxDialingPerPeer: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** What goes to the outside, and how. */
export interface ForwardConfig {
  readonly tcp: ServerDocument["forward"]["tcp"];
  readonly tcpProxy: TcpProxyConfig;
  readonly udp: UdpForwardConfig;
  readonly icmp: {
    readonly policy: "allow" | "drop";
    readonly timeoutMs: number;
  };
  readonly ipv6: "nat" | "refuse";
  readonly host: "allow" | "deny";
}

/** The DNS proxy. */
export interface DnsConfig {
  readonly listen: boolean;
  readonly upstreams: readonly DnsUpstream[];
  readonly timeoutMs: number;
  readonly cache: {
    readonly entries: number;
    readonly minTtlMs: number;
    readonly maxTtlMs: number;
  };
  /** Lower case, without a dot at the end. */
  readonly domain: string;
}

/** One client. */
export interface PeerConfig {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array | undefined;
  readonly addresses: readonly Prefix[];
  /** Further prefixes behind the peer; its addresses are not among them. */
  readonly allowedIps: readonly Prefix[];
  readonly endpoint: HostPort | undefined;
  /** 0 is off. */
  readonly persistentKeepaliveMs: number;
}

/** The whole configuration of `sluice server`. */
export interface ServerConfig {
  readonly interface: InterfaceConfig;
  readonly forward: ForwardConfig;
  readonly dns: DnsConfig;
  readonly peers: readonly PeerConfig[];
  readonly log: { readonly level: ServerDocument["log"]["level"] };
  readonly datapath: ServerDocument["datapath"];
}

/**
 * The configuration from a checked document.
 * @param privateKey the interface's private key, from the document or its file.
 */
export function resolveServerConfig(
  document: ServerDocument,
  privateKey: Uint8Array,
): ServerConfig {
  const { forward, dns } = document;
  return {
    interface: resolveInterface(document.interface, privateKey),
    forward: {
      tcp: forward.tcp,
      tcpProxy: resolveTcpProxy(forward.tcpProxy),
      udp: resolveUdp(forward.udp),
      icmp: {
        policy: forward.icmp.policy,
        timeoutMs: milliseconds(forward.icmp.timeout),
      },
      ipv6: forward.ipv6,
      host: forward.host,
    },
    dns: {
      listen: dns.listen,
      upstreams: dns.upstreams.map(dnsUpstream),
      timeoutMs: milliseconds(dns.timeout),
      cache: {
        entries: dns.cache.entries,
        minTtlMs: milliseconds(dns.cache.minTtl),
        maxTtlMs: milliseconds(dns.cache.maxTtl),
      },
      domain: dns.domain.toLowerCase(),
    },
    peers: document.peers.map(resolvePeer),
    log: document.log,
    datapath: document.datapath,
  };
}

/** First and last port of a range such as `1024-65535`. */
export function parsePortRange(text: string): [first: number, last: number] {
  const [first, last] = text.split("-").map(Number);
  return [first, last];
}

/** Every prefix that the peer may send from and is reached at. */
export function peerPrefixes(peer: PeerConfig): Prefix[] {
  return [...peer.addresses, ...peer.allowedIps];
}

function resolveInterface(
  document: ServerDocument["interface"],
  privateKey: Uint8Array,
): InterfaceConfig {
  const { publicEndpoint } = document;
  return {
    name: document.name,
    tun: document.tun,
    addresses: document.addresses.map((text) => sure(readPrefix(text))),
    mtu: document.mtu,
    listenPort: document.listenPort,
    publicEndpoint: publicEndpoint === undefined
      ? undefined
      : parseHostPort(publicEndpoint, document.listenPort),
    privateKey,
    publicKey: publicKeyOf(privateKey),
    amnezia: document.amnezia && amneziaParameters(document.amnezia),
  };
}

function resolveTcpProxy(
  document: ServerDocument["forward"]["tcpProxy"],
): TcpProxyConfig {
  return {
    prefixes: document.prefixes.map((text) => sure(readPrefix(text))),
    maxConnections: document.maxConnections,
    maxConnectionsPerPeer: document.maxConnectionsPerPeer,
    maxDialingPerPeer: document.maxDialingPerPeer,
    connectTimeoutMs: milliseconds(document.connectTimeout),
    idleTimeoutMs: milliseconds(document.idleTimeout),
  };
}

function resolveUdp(
  document: ServerDocument["forward"]["udp"],
): UdpForwardConfig {
  const [firstPort, lastPort] = parsePortRange(document.ports);
  return {
    policy: document.policy,
    firstPort,
    lastPort,
    mappingTimeoutMs: milliseconds(document.mappingTimeout),
    filtering: document.filtering,
    maxMappings: document.maxMappings,
    maxMappingsPerPeer: document.maxMappingsPerPeer,
  };
}

function resolvePeer(document: ServerDocument["peers"][number]): PeerConfig {
  const { presharedKey, endpoint, persistentKeepalive } = document;
  return {
    name: document.name,
    publicKey: sure(parseKey(document.publicKey)),
    presharedKey: presharedKey === undefined
      ? undefined
      : sure(parseKey(presharedKey)),
    addresses: document.addresses.map((text) => sure(readPrefix(text))),
    allowedIps: document.allowedIps.map((text) => sure(readPrefix(text))),
    endpoint: endpoint === undefined ? undefined : parseHostPort(endpoint),
    persistentKeepaliveMs: persistentKeepalive === undefined
      ? 0
      : milliseconds(persistentKeepalive),
  };
}
