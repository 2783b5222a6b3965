/** What the flags of tun2socks come to: engine, tables, interface, way out. */
import { gatewayConfig } from "../core/engine/gateway_config.ts";
import {
  type RelayEnds,
  TCP_RELAY_DEFAULTS,
} from "../core/engine/tcp_relay_config.ts";
import type { TunStackConfig } from "../core/engine/tun_stack.ts";
import {
  formatPrefix,
  parseAddress,
  parseIpv4,
  parsePrefix,
  type Prefix,
} from "../core/wire/address.ts";
import {
  DEFAULT_RELAY_LIMITS,
  type RelayLimits,
} from "../datapath/relay/relay_settings.ts";
import { contains, overlaps, subtract } from "../config/prefix.ts";
import type { TunSizes } from "../datapath/tun_state.ts";
import type {
  DialerSetup,
  HostNetwork,
  InterfaceAddress,
  InterfaceConfig,
  SocketOrigin,
} from "../io/ports.ts";
import { routesOf } from "./client_setup.ts";
import { ExitCode, UserError } from "./errors.ts";
import { covers, type Tun2socksOptions } from "./tun2socks_options.ts";

/** What the adapter has for itself. */
export interface RelayPlace {
  /** The relay's own addresses; what lies beside them stands for connections. */
  readonly ipv4: Prefix;
  readonly ipv6: Prefix;
  /** Whom ICMP errors come from: beside the connections, nobody's addresses. */
  readonly errors: {
    readonly address4: number;
    /** Four address words. */
    readonly address6: Int32Array;
  };
}

/** Places to try: of the network for benchmarks (RFC 2544), and local ones (RFC 4193). */
const RELAY_PLACES: readonly RelayPlace[] = Array.from(
  { length: 16 },
  (_, n) => {
    const net4 = `198.18.${254 - n}`;
    const net6 = `fd73:6c75:6963:65${n.toString(16).padStart(2, "0")}:`;
    return {
      ipv4: parsePrefix(`${net4}.1/24`)!,
      ipv6: parsePrefix(`${net6}:1/120`)!,
      errors: {
        address4: parseIpv4(`${net4}.254`)!,
        address6: Int32Array.from(parseAddress(`${net6}:fe`)!),
      },
    };
  },
);

/** TCP connections at once; each takes two descriptors. */
const CONNECTIONS = 16_384;
/** Rows for them and for those that have just ended. */
const REDIRECTS = 32_768;
const DIALING = 4096;
const GENERATIONS = 64;
const MAPPINGS = 16_384;
const LOOPBACK_INDEX = 1;

/** Documentation addresses (RFC 5737, RFC 3849): anywhere outside. */
const ANYWHERE = [parseAddress("192.0.2.1")!, parseAddress("2001:db8::1")!];

/** How large the tables must be. */
export function tunSizes(): TunSizes {
  return {
    nat: { capacity: MAPPINGS, peers: 1, remotes: 8 },
    redirects: {
      capacity: REDIRECTS,
      peers: 1,
      generations: GENERATIONS,
      seed: crypto.getRandomValues(new Int32Array(1))[0],
    },
    relayRingBytes: 4 << 20,
    traceRingBytes: 1 << 16,
  };
}

/**
 * A place for the relay that nobody on this host has, nor the flags name.
 * @throws {UserError} where all are taken.
 */
export function chooseRelayPlace(
  options: Pick<Tun2socksOptions, "addresses" | "routes">,
  network: Pick<HostNetwork, "egressFor">,
): RelayPlace {
  const { addresses, routes } = options;
  const isFree = (prefix: Prefix) =>
    network.egressFor(prefix.words)?.interfaceIndex !== LOOPBACK_INDEX &&
    !addresses.some((address) => overlaps(address, prefix)) &&
    !routes.some((route) => contains(prefix, route));
  const place = RELAY_PLACES.find(({ ipv4, ipv6 }) =>
    isFree(ipv4) && isFree(ipv6)
  );
  if (place !== undefined) return place;
  throw new UserError(
    "all addresses for the adapter's own use are taken, from 198.18.239.1 to 198.18.254.1",
    "end another tun2socks, or lead fewer of these into the adapter",
  );
}

/** The engine for an adapter, the relay listening at `ends`. */
export function tunStackConfig(
  options: Tun2socksOptions,
  place: RelayPlace,
  ends: RelayEnds,
): TunStackConfig {
  const { addresses, mtu, outbound, icmp } = options;
  return {
    gateway: gatewayConfig({
      ...place.errors,
      subnets: addresses,
      mtu,
      host: "absent",
      tcp: "proxy",
      relay: {
        ...TCP_RELAY_DEFAULTS,
        ...ends,
        maxConnectionsPerPeer: CONNECTIONS,
        maxDialingPerPeer: DIALING,
      },
      maxMappingsPerPeer: MAPPINGS,
    }),
    udp: outbound.kind === "direct" ? "sockets" : "relay",
    echo: icmp === "local" ? "answer" : "forward",
  };
}

/** What the relay takes on. */
export const RELAY_LIMITS: RelayLimits = {
  ...DEFAULT_RELAY_LIMITS,
  connections: CONNECTIONS,
  dialing: DIALING,
};

/**
 * The adapter.
 * @param routes none before the relay is ready for what comes by them
 */
export function tunInterface(
  options: Tun2socksOptions,
  place: RelayPlace,
  routes: "none" | "all",
): InterfaceConfig {
  const { name, mtu, addresses } = options;
  return {
    name,
    mtu,
    up: true,
    // The first of a family is the one that programs get.
    addresses: [
      ...addresses.map(addressOf),
      { ...addressOf(place.ipv4), use: "listen-only" },
      { ...addressOf(place.ipv6), use: "listen-only" },
    ],
    routes: routes === "none"
      ? []
      : subtract(options.routes, options.excluded).flatMap(routesOf),
  };
}

/**
 * Where sockets to the outside have to start, so that none of them goes through
 * the adapter; to be asked before its routes are there.
 * @throws {UserError} where there is no way but through the adapter.
 */
export function outsideOrigin(
  setup: DialerSetup,
  options: Tun2socksOptions,
  network: HostNetwork,
): SocketOrigin | undefined {
  const { egress } = options;
  if (egress !== undefined) {
    const interfaceIndex = network.interfaceIndex(egress);
    if (interfaceIndex !== undefined) return { interfaceIndex };
    throw new UserError(
      `there is no interface ${egress}`,
      "name one that leads outside with --egress; ip link shows them",
      ExitCode.Usage,
    );
  }
  if (setup.kind !== "direct") {
    const { words, host } = setup.proxy;
    if (!covers(options, words)) return undefined;
    return originTowards([words], network, `the proxy ${host}`);
  }
  const first = options.routes.filter(({ length }) => length > 0)
    .map(({ words }) => words);
  return originTowards([...first, ...ANYWHERE], network, "the outside");
}

function originTowards(
  places: readonly (Int32Array | Uint32Array)[],
  network: HostNetwork,
  name: string,
): SocketOrigin | undefined {
  for (const words of places) {
    const egress = network.egressFor(words);
    if (egress === undefined) continue;
    const { interfaceIndex } = egress;
    return interfaceIndex === LOOPBACK_INDEX ? undefined : { interfaceIndex };
  }
  throw new UserError(
    `there is no route to ${name} now, and it can't be reached through the adapter`,
    "connect this machine to a network first, or name the interface with --egress",
  );
}

function addressOf(prefix: Prefix): InterfaceAddress {
  const { words, length, family } = prefix;
  return { words: Int32Array.from(words), prefixLength: length, family };
}

/** The routes as text for the log. */
export function describeRoutes(options: Tun2socksOptions): string {
  const list = (prefixes: readonly Prefix[]) =>
    prefixes.map(formatPrefix).join(", ");
  const { routes, excluded } = options;
  if (routes.length === 0) return "none";
  return excluded.length === 0
    ? list(routes)
    : `${list(routes)} without ${list(excluded)}`;
}

/**
 * Whether the proxy is on this host and a default route leads there: its own
 * connections would come back to it.
 */
export function mayCircle(
  setup: DialerSetup,
  { routes }: Pick<Tun2socksOptions, "routes">,
  network: Pick<HostNetwork, "egressFor">,
): boolean {
  return setup.kind !== "direct" &&
    routes.some(({ length }) => length === 0) &&
    network.egressFor(setup.proxy.words)?.interfaceIndex === LOOPBACK_INDEX;
}
