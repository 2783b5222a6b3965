/** What a split tunnel comes to: sizes of tables, engine, interface. */
import { gatewayConfig } from "../core/engine/gateway_config.ts";
import {
  SPLIT_TUNNEL_DEFAULTS,
  type SplitTunnelConfig,
} from "../core/engine/split_tunnel_config.ts";
import {
  type RelayEnds,
  TCP_RELAY_DEFAULTS,
} from "../core/engine/tcp_relay_config.ts";
import type { Prefix } from "../core/wire/address.ts";
import type { CaptureConfig } from "../config/client_config.ts";
import type { ClientSizes } from "../datapath/client_state.ts";
import type { RelayLimits } from "../datapath/relay/relay_settings.ts";
import type { InterfaceAddress, InterfaceConfig } from "../io/ports.ts";
import { OUTBOUNDS } from "../control/client_engine.ts";
import { RELAY_LIMITS, type RelayPlace, tunSizes } from "./tun2socks_setup.ts";

/** The interface that captures. */
export interface ClientTun {
  readonly name: string;
  /** The host's own addresses on it, where programs' packets come from. */
  readonly address4: Prefix;
  readonly address6: Prefix | undefined;
  readonly mtu: number;
}

/** How many flows there may be, and how long idle ones stay. */
export type FlowLimits = Omit<
  CaptureConfig,
  "mode" | "interfaceName" | "mtu"
>;

/** What holds where nothing else is wished. */
export const FLOW_LIMITS: FlowLimits = {
  maxFlows: 65_536,
  maxHeldPackets: 4096,
  holdMs: 5000,
  tcpTimeoutMs: TCP_RELAY_DEFAULTS.establishedTimeoutMs,
  udpTimeoutMs: 300_000,
};

/** Of held packets, so many may be longer than the rest: 64 KiB of memory each. */
const MOST_LONG = 32;
const LONG_SHARE = 8;
const HELD_PER_FLOW = 16;
const SOCKETS_PER_CONNECTION = 2;
const RING_BYTES = 4 << 20;
const TUNNEL_RING_BYTES = 1 << 20;
const PEERS = 64;
const PREFIX_NODES = 16_384;

/** How large the tables must be. */
export function clientSizes(
  { maxFlows }: Pick<FlowLimits, "maxFlows">,
): ClientSizes {
  const { nat, redirects } = tunSizes();
  return {
    flows: {
      capacity: maxFlows,
      seed: crypto.getRandomValues(new Int32Array(1))[0],
    },
    nat,
    redirects,
    ringBytes: RING_BYTES,
    // A tunnel that is replaced keeps its slot until the worker has let go of it.
    slots: OUTBOUNDS + 8,
    tunnel: {
      peers: PEERS,
      sessions: PEERS * 4,
      allowedIps: { nodes: PREFIX_NODES },
      ringBytes: TUNNEL_RING_BYTES,
    },
  };
}

/** The engine, the relay listening at `ends`. */
export function splitTunnelConfig(
  { tun, place, ends, limits, fragments, answeredPorts = [] }: {
    readonly tun: ClientTun;
    readonly place: RelayPlace;
    readonly ends: RelayEnds;
    readonly limits: FlowLimits;
    readonly fragments: "follow" | "drop";
    /** TCP ports that others may call at, where packets are captured on their way. */
    readonly answeredPorts?: readonly number[];
  },
): SplitTunnelConfig {
  const { connections, dialing } = RELAY_LIMITS;
  const { maxHeldPackets, holdMs, tcpTimeoutMs, udpTimeoutMs } = limits;
  const long = Math.min(MOST_LONG, Math.floor(maxHeldPackets / LONG_SHARE));
  return {
    ...SPLIT_TUNNEL_DEFAULTS,
    direct: ends.reached === "client" ? "passed" : "translated",
    answeredPorts,
    fragments: fragments === "follow" ? "reassemble" : "drop",
    heldMs: holdMs,
    // Each that waits has a packet here.
    maxWaiting: maxHeldPackets,
    held: { short: maxHeldPackets - long, long, perFlow: HELD_PER_FLOW },
    gateway: gatewayConfig({
      ...place.errors,
      subnets: addressesOf(tun),
      mtu: tun.mtu,
      host: "absent",
      tcp: "proxy",
      relay: {
        ...TCP_RELAY_DEFAULTS,
        ...ends,
        establishedTimeoutMs: tcpTimeoutMs,
        maxConnectionsPerPeer: connections,
        maxDialingPerPeer: dialing,
      },
      maxMappingsPerPeer: tunSizes().nat.capacity,
      udpTimeoutMs,
    }),
  };
}

/** What the relay takes on. */
export function clientRelayLimits({ tcpTimeoutMs }: FlowLimits): RelayLimits {
  return { ...RELAY_LIMITS, idleTimeoutMs: tcpTimeoutMs };
}

/** Sockets that as many flows as are allowed may need. */
export function socketsWanted({ maxFlows }: FlowLimits): number {
  const connections = Math.min(maxFlows, RELAY_LIMITS.connections);
  const mappings = Math.min(maxFlows - connections, tunSizes().nat.capacity);
  return connections * SOCKETS_PER_CONNECTION + mappings;
}

/** The interface; whoever wants to capture leads routes to it. */
export function clientInterface(
  tun: ClientTun,
  place: RelayPlace,
): InterfaceConfig {
  return {
    name: tun.name,
    mtu: tun.mtu,
    up: true,
    // The first of a family is the one that programs get.
    addresses: [
      ...addressesOf(tun).map(addressOf),
      { ...addressOf(place.ipv4), use: "listen-only" },
      { ...addressOf(place.ipv6), use: "listen-only" },
    ],
    routes: [],
  };
}

/** The interface's own addresses. */
export function addressesOf({ address4, address6 }: ClientTun): Prefix[] {
  return address6 === undefined ? [address4] : [address4, address6];
}

function addressOf({ words, length, family }: Prefix): InterfaceAddress {
  return { words: Int32Array.from(words), prefixLength: length, family };
}
