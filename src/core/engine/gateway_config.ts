/**
 * What the gateway's engine is told about its surroundings and its policies:
 * plain data, so that it can be posted to a worker. Addresses are address words
 * (4 a piece, IPv4 as ::ffff:a.b.c.d).
 */
import type { Prefix } from "../wire/address.ts";
import type { TcpRelayConfig } from "./tcp_relay_config.ts";

/** The gateway's own addresses, limits and policies. */
export interface GatewayConfig {
  /** The gateway's IPv4 address inside the VPN as its value; 0 where it has none. */
  readonly address4: number;
  /** The gateway's IPv6 address inside the VPN (4 words); all zero where it has none. */
  readonly address6: Int32Array;
  /** The VPN's own subnets: what no peer answers for there is unreachable. */
  readonly subnets: readonly Prefix[];
  /**
   * The host's addresses on the outside, 4 words each, as far as they are known;
   * four zeros end them, so that a shared column can have room for more.
   * A packet to one of them goes to the mapping that has its port (hairpinning,
   * RFC 4787 REQ-9), else it counts as one for the gateway itself.
   */
  readonly outsideAddresses: Int32Array;
  /** Largest inner packet that goes to a peer, in bytes. */
  readonly mtu: number;
  /**
   * Packets for the gateway itself: `allow` hands them to the TUN device, `deny`
   * drops them except TCP port 53, `absent` says that there is no TUN device.
   */
  readonly host: "allow" | "deny" | "absent";
  /** TCP to the outside; `proxy` lets the system's own stack end it at `relay`. */
  readonly tcp: "drop" | "reject" | "proxy";
  /** Where `tcp` is `proxy`. */
  readonly relay: TcpRelayConfig | undefined;
  readonly udp: "nat" | "drop";
  /** Echo requests to the outside. */
  readonly icmp: "nat" | "drop";
  /** IPv6 to the outside; `refuse` answers «destination unreachable». */
  readonly ipv6: "nat" | "refuse";
  /** Who may send in through a mapping (RFC 4787 section 5). */
  readonly filtering:
    | "endpoint-independent"
    | "address-dependent"
    | "address-and-port-dependent";
  /** Which traffic keeps a mapping alive (RFC 4787 REQ-6). */
  readonly refresh: "outbound" | "both";
  /** Idle time of a UDP mapping, in ms; at least 120,000 by RFC 4787 REQ-5. */
  readonly udpTimeoutMs: number;
  /** Idle time of an echo mapping, in ms; at least 60,000 by RFC 5508 REQ-2. */
  readonly icmpTimeoutMs: number;
  /** Mappings that one peer may hold at once. */
  readonly maxMappingsPerPeer: number;
  /** First and last external UDP port. */
  readonly portFirst: number;
  readonly portLast: number;
  /** Datagrams that may wait for their fragments at once, 64 KiB of memory each. */
  readonly fragmentSlots: number;
  /** How many of them one peer may hold. */
  readonly fragmentSlotsPerPeer: number;
  /** ICMP errors of our own per second, and how many at once (RFC 1812 4.3.2.8). */
  readonly errorsPerSecond: number;
  readonly errorBurst: number;
}

/** Policies and limits that hold where the configuration says nothing. */
export const GATEWAY_DEFAULTS = {
  mtu: 1420,
  host: "allow",
  tcp: "reject",
  udp: "nat",
  icmp: "nat",
  ipv6: "nat",
  filtering: "endpoint-independent",
  refresh: "outbound",
  udpTimeoutMs: 300_000,
  icmpTimeoutMs: 60_000,
  maxMappingsPerPeer: 4096,
  portFirst: 1024,
  portLast: 65535,
  fragmentSlots: 64,
  fragmentSlotsPerPeer: 8,
  errorsPerSecond: 200,
  errorBurst: 100,
} as const satisfies Partial<GatewayConfig>;

/** A whole configuration from addresses and what differs from the defaults. */
export function gatewayConfig(given: Partial<GatewayConfig>): GatewayConfig {
  return {
    address4: 0,
    address6: new Int32Array(4),
    subnets: [],
    outsideAddresses: new Int32Array(0),
    relay: undefined,
    ...GATEWAY_DEFAULTS,
    ...given,
  };
}
