/**
 * How a client gets at the host's traffic: which packets are led into its
 * interface, and which may leave at all.
 *
 *     our own packets carry a mark     -> the host's own routes, as ever
 *     with killSwitch.allowLan         -> nearer routes of the host, as ever
 *     all others                       -> a table of ours: the interface
 */
import type { ClientConfig } from "../config/client_config.ts";
import { networkOf, readPrefix } from "../config/prefix.ts";
import type {
  EgressChoice,
  FamilyEgress,
} from "../control/client/network_reaction.ts";
import {
  formatPrefix,
  parseAddress,
  parsePrefix,
  type Prefix,
} from "../core/wire/address.ts";
import type {
  AllowedNetwork,
  HostNetwork,
  KillSwitchPolicy,
  PolicyConfig,
  RoutingRule,
  TableRoute,
} from "../io/ports.ts";
import { CLIENT_MARK } from "./client_mark.ts";
import { UserError } from "./errors.ts";

/** Our routing table, and the first of our rules' priorities. */
const TABLE = 0x51c1;
const PRIORITY = 0x51c1;
const FAMILIES = [4, 6] as const;
const LOOPBACK_INDEX = 1;
/** Documentation addresses (RFC 5737, RFC 3849): anywhere outside. */
const ANYWHERE = {
  4: parseAddress("192.0.2.1")!,
  6: parseAddress("2001:db8::1")!,
} as const;

/** Addresses that programs on this host get, and those that stand for resolvers. */
export interface CapturePlace {
  readonly address4: Prefix;
  readonly address6: Prefix;
  readonly nameservers: readonly Int32Array[];
}

/** Places to try: of the network for benchmarks (RFC 2544), and local ones (RFC 4193). */
const PLACES: readonly CapturePlace[] = Array.from({ length: 16 }, (_, n) => {
  const net4 = `198.18.${n}`;
  const net6 = `fd73:6c75:6963:67${n.toString(16).padStart(2, "0")}:`;
  return {
    address4: parsePrefix(`${net4}.1/30`)!,
    address6: parsePrefix(`${net6}:1/126`)!,
    nameservers: [Int32Array.from(parseAddress(`${net4}.2`)!)],
  };
});

/**
 * Addresses that nobody here has.
 * @throws {UserError} where all are taken.
 */
export function chooseCapturePlace(
  network: Pick<HostNetwork, "egressFor">,
): CapturePlace {
  const isFree = ({ words }: Prefix) =>
    network.egressFor(words)?.interfaceIndex !== LOOPBACK_INDEX;
  const place = PLACES.find(({ address4, address6 }) =>
    isFree(address4) && isFree(address6)
  );
  if (place !== undefined) return place;
  throw new UserError(
    "all addresses for the capture are taken, from 198.18.0.1 to 198.18.15.1",
    "give one of them back",
  );
}

/** The rules and routes that lead traffic into the interface of that number. */
export function capturePolicy(
  interfaceIndex: number,
  { killSwitch }: Pick<ClientConfig, "killSwitch">,
): PolicyConfig {
  const mark = { value: CLIENT_MARK, except: true };
  const near = (family: 4 | 6): RoutingRule => ({
    family,
    priority: PRIORITY,
    mark,
    table: "main",
    suppressPrefixLength: 0,
  });
  const capture = (family: 4 | 6): RoutingRule => ({
    family,
    priority: PRIORITY + 1,
    mark,
    table: TABLE,
  });
  return {
    table: TABLE,
    routes: FAMILIES.map((family): TableRoute => ({
      family,
      words: parsePrefix(family === 4 ? "0.0.0.0/0" : "::/0")!.words,
      prefixLength: 0,
      way: { kind: "interface", index: interfaceIndex },
    })),
    rules: FAMILIES.flatMap((family) =>
      killSwitch.allowLan ? [near(family), capture(family)] : [capture(family)]
    ),
  };
}

/** What may leave the host while the client runs. */
export function killSwitchPolicy(
  { killSwitch, capture }: Pick<ClientConfig, "killSwitch" | "capture">,
  networks: readonly AllowedNetwork[],
): KillSwitchPolicy {
  return {
    captureInterfaces: [capture.interfaceName],
    networks: killSwitch.allowLan ? networks : [],
    networkDns: "drop",
    dhcp: killSwitch.allowDhcp ? "pass" : "drop",
    answers: killSwitch.allowLan ? "pass" : "drop",
    answeredPorts: killSwitch.allowInbound,
    forwarded: "drop",
    afterCrash: killSwitch.persist ? "stay" : "go",
  };
}

/** How loopback's prefixes begin, whatever its interface is called. */
const LOOPBACK = ["127.", "::1/"];
/** Multicast and broadcast that stay within a network. */
const LOCAL_GROUPS = ["224.0.0.0/24", "255.255.255.255/32", "ff02::/16"];

/** The networks that this host is attached to. */
export function attachedNetworks(
  captureInterface: string,
  interfaces: readonly Pick<
    Deno.NetworkInterfaceInfo,
    "name" | "cidr"
  >[] = Deno.networkInterfaces(),
): AllowedNetwork[] {
  const texts = interfaces
    .filter(({ name, cidr }) =>
      name !== captureInterface && !LOOPBACK.some((net) => cidr.startsWith(net))
    )
    // Windows names the link of a link-local address: fe80::1%5/64.
    .map(({ cidr }) => cidr.replace(/%[^/]*/, ""));
  const networks = new Map<string, Prefix>();
  for (const text of [...texts, ...LOCAL_GROUPS]) {
    const prefix = readPrefix(text);
    if (prefix === undefined) continue;
    const network = networkOf(prefix);
    networks.set(formatPrefix(network), network);
  }
  return [...networks.values()].map(({ family, words, length }) => ({
    family,
    words,
    prefixLength: length,
  }));
}

/** Numbers of the interfaces by which others may call at this host. */
export function calledInterfaces(
  network: Pick<HostNetwork, "interfaceIndex">,
  { killSwitch, capture }: Pick<ClientConfig, "killSwitch" | "capture">,
  interfaces: readonly Pick<Deno.NetworkInterfaceInfo, "name">[] = Deno
    .networkInterfaces(),
): number[] {
  if (!killSwitch.enabled || killSwitch.allowInbound.length === 0) return [];
  const names = new Set(interfaces.map(({ name }) => name));
  names.delete("lo");
  names.delete(capture.interfaceName);
  return [...names].flatMap((name) => network.interfaceIndex(name) ?? []);
}

/**
 * How packets of our own leave now; never by the capture, whatever somebody has
 * routed there.
 */
export function chooseEgress(
  network: Pick<HostNetwork, "egressFor" | "interfaceIndex">,
  captureInterface: string,
): EgressChoice {
  const captureIndex = network.interfaceIndex(captureInterface);
  const choose = (family: 4 | 6) => {
    const egress = familyEgress(network, family);
    return egress?.interfaceIndex === captureIndex ? undefined : egress;
  };
  return { ipv4: choose(4), ipv6: choose(6) };
}

function familyEgress(
  network: Pick<HostNetwork, "egressFor" | "interfaceIndex">,
  family: 4 | 6,
): FamilyEgress | undefined {
  const egress = network.egressFor(ANYWHERE[family], CLIENT_MARK);
  if (egress === undefined || egress.interfaceIndex === LOOPBACK_INDEX) {
    return undefined;
  }
  const names = new Set(Deno.networkInterfaces().map(({ name }) => name));
  const interfaceName = [...names].find((name) =>
    network.interfaceIndex(name) === egress.interfaceIndex
  );
  return {
    ...egress,
    interfaceName: interfaceName ?? `interface ${egress.interfaceIndex}`,
  };
}
