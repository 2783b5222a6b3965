/**
 * The tunnels of client.yaml: reads each into its keys or its proxy, and says
 * what is missing, double or out of place; wireguard_tunnel.ts has the kinds
 * with keys.
 */
import type { OutboundAddress } from "../io/ports.ts";
import { formatAddress } from "../core/wire/address.ts";
import { type DnsUpstream, readDnsUpstream } from "./checked_values.ts";
import type { HostPort } from "./endpoint.ts";
import { parseProxyUrl } from "./proxy_url.ts";
import {
  listAt,
  type PathStep,
  ruleError,
  type RuleProblem,
  valueAt,
} from "./raw_document.ts";
import type { WgInterface, WgPeer } from "./wg_conf.ts";
import {
  KEYS_OF_WIREGUARD,
  readWireguardTunnel,
  type TunnelReading,
} from "./wireguard_tunnel.ts";

/** Where a tunnel leads. */
export type TunnelWay =
  | {
    readonly kind: "wireguard";
    readonly interface: WgInterface;
    readonly peers: readonly WgPeer[];
  }
  | {
    readonly kind: "proxy";
    readonly proxy: Exclude<OutboundAddress, { readonly kind: "direct" }>;
  };

/** A tunnel that could be read, and the places of what it says. */
export interface PlacedTunnel {
  readonly index: number;
  readonly name: string;
  readonly way: TunnelWay;
  /** Resolvers behind it: its own list, or else that of its .conf file. */
  readonly resolvers: readonly DnsUpstream[];
  /** Where its addresses are said. */
  readonly addressesPath: readonly PathStep[];
  /** Where it says whom it connects to. */
  readonly endpointPath: readonly PathStep[];
}

const RESERVED = ["direct", "drop", "nextRule"];
const PROXY_TYPES = ["socks5", "http"];

/** The names of the tunnels, also of those that are malformed otherwise. */
export function tunnelNames(raw: unknown): string[] {
  return listAt(raw, ["tunnels"]).map((item) => valueAt(item, ["name"]))
    .filter((name) => typeof name === "string");
}

/** Every tunnel that is complete; the others become problems. */
export function readTunnels(
  raw: unknown,
  reading: TunnelReading,
): PlacedTunnel[] {
  const tunnels: PlacedTunnel[] = [];
  const seen = new Map<string, number>();
  for (const [index, item] of listAt(raw, ["tunnels"]).entries()) {
    const path = ["tunnels", index];
    const name = valueAt(item, ["name"]);
    if (typeof name === "string") {
      checkName(name, { seen, index, problems: reading.problems });
    }
    const way = readWay(item, path, reading);
    if (way === undefined || typeof name !== "string") continue;
    const file = typeof valueAt(item, ["file"]) === "string";
    const key = file ? "file" : way.kind === "proxy" ? "url" : undefined;
    tunnels.push({
      index,
      name,
      way,
      resolvers: resolversOf(item, way),
      addressesPath: [...path, key ?? "addresses"],
      endpointPath: [...path, key ?? "peers"],
    });
  }
  checkAddresses(tunnels, reading.problems);
  return tunnels;
}

function checkName(
  name: string,
  { seen, index, problems }: {
    seen: Map<string, number>;
    index: number;
    problems: RuleProblem[];
  },
): void {
  const path = ["tunnels", index, "name"];
  const first = seen.get(name);
  if (first !== undefined) {
    problems.push(
      ruleError(path, `"${name}" is the name of tunnels[${first}] already`),
    );
  } else seen.set(name, index);
  if (RESERVED.includes(name)) {
    problems.push(
      ruleError(path, `"${name}" has a meaning of its own in rules`),
    );
  }
}

function readWay(
  raw: unknown,
  path: readonly PathStep[],
  reading: TunnelReading,
): TunnelWay | undefined {
  const { problems } = reading;
  const type = valueAt(raw, ["type"]);
  if (typeof type !== "string") return undefined;
  if (PROXY_TYPES.includes(type)) {
    refuse(raw, { path, keys: KEYS_OF_WIREGUARD, of: type, problems });
    return readProxy(raw, type, { path, problems });
  }
  if (type !== "wireguard" && type !== "amneziawg") return undefined;
  refuse(raw, { path, keys: ["url"], of: type, problems });
  const conf = readWireguardTunnel(raw, type, { path, reading });
  return conf &&
    { kind: "wireguard", interface: conf.interface, peers: conf.peers };
}

/** Keys that belong to tunnels of another type. */
function refuse(
  raw: unknown,
  { path, keys, of, problems }: {
    path: readonly PathStep[];
    keys: readonly string[];
    of: string;
    problems: RuleProblem[];
  },
): void {
  const other = keys.length > 1 ? "wireguard and amneziawg" : "socks5 and http";
  for (const key of keys) {
    if (valueAt(raw, [key]) === undefined) continue;
    problems.push(
      ruleError([...path, key], `is for ${other}, this tunnel is ${of}`),
    );
  }
}

function readProxy(
  raw: unknown,
  type: string,
  { path, problems }: {
    path: readonly PathStep[];
    problems: RuleProblem[];
  },
): TunnelWay | undefined {
  const url = valueAt(raw, ["url"]);
  if (url === undefined) {
    problems.push(
      ruleError(path, `needs url, such as ${type}://127.0.0.1:1080`),
    );
  }
  if (typeof url !== "string") return undefined;
  const proxy = parseProxyUrl(url);
  const at = [...path, "url"];
  if (proxy.kind === "invalid") problems.push(ruleError(at, proxy.text));
  else if (proxy.kind === "direct") {
    problems.push(ruleError(at, "names no proxy; rules know direct by itself"));
  } else if (proxy.kind !== type) {
    problems.push(
      ruleError(at, `is a proxy of type ${proxy.kind}, not ${type}`),
    );
  } else return { kind: "proxy", proxy };
  return undefined;
}

/** Packets to an address could not be told apart. */
function checkAddresses(
  tunnels: readonly PlacedTunnel[],
  problems: RuleProblem[],
): void {
  const owners = new Map<string, PlacedTunnel>();
  for (const tunnel of tunnels) {
    if (tunnel.way.kind !== "wireguard") continue;
    const inline = tunnel.addressesPath.at(-1) === "addresses";
    for (const [i, prefix] of tunnel.way.interface.addresses.entries()) {
      const address = formatAddress(prefix.words);
      const owner = owners.get(address);
      if (owner === undefined) owners.set(address, tunnel);
      else if (owner !== tunnel) {
        problems.push(ruleError(
          inline ? [...tunnel.addressesPath, i] : tunnel.addressesPath,
          `${address} is the address of tunnel "${owner.name}" as well; each needs its own`,
        ));
      }
    }
  }
}

function resolversOf(raw: unknown, way: TunnelWay): DnsUpstream[] {
  const own = way.kind === "wireguard" ? way.interface.dns : [];
  const texts = valueAt(raw, ["dns"]) === undefined
    ? own
    : listAt(raw, ["dns"]);
  return texts.flatMap((text) =>
    typeof text === "string" ? readDnsUpstream(text) ?? [] : []
  );
}

/** Where a tunnel connects to, and where that is said. */
export function endpointsOf(
  { way, endpointPath }: PlacedTunnel,
): { endpoint: HostPort; path: readonly PathStep[] }[] {
  if (way.kind === "proxy") {
    return [{ endpoint: way.proxy, path: endpointPath }];
  }
  const inline = endpointPath.at(-1) === "peers";
  return way.peers.flatMap(({ endpoint }, i) => {
    if (endpoint === undefined) return [];
    const path = inline ? [...endpointPath, i, "endpoint"] : endpointPath;
    return [{ endpoint, path }];
  });
}
