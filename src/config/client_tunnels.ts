/**
 * The tunnels of client.yaml: reads each into its keys or its proxy, from a
 * .conf file or from what stands in the YAML, and says what is missing.
 */
import type { OutboundAddress } from "../io/ports.ts";
import { formatAddress } from "../core/wire/address.ts";
import { amneziaParameters, amneziaProblems } from "./amnezia_config.ts";
import { describeReadError } from "./config_text.ts";
import { parseDuration } from "./duration.ts";
import { type HostPort, parseHostPort } from "./endpoint.ts";
import { parseKey } from "./keys.ts";
import { readPrefix } from "./prefix.ts";
import { ConfigError, type ConfigProblem } from "./problems.ts";
import { parseProxyUrl } from "./proxy_url.ts";
import {
  listAt,
  type PathStep,
  readPrefixes,
  ruleError,
  type RuleProblem,
  valueAt,
} from "./raw_document.ts";
import {
  parseWireguardConf,
  type WgConf,
  type WgInterface,
  type WgPeer,
} from "./wg_conf.ts";

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
  /** Where its addresses are said. */
  readonly addressesPath: readonly PathStep[];
  /** Where it says whom it connects to. */
  readonly endpointPath: readonly PathStep[];
}

/** What reading tunnels needs and finds. */
export interface TunnelReading {
  /** Reads a .conf file; throws what the system says. */
  readonly readFile: (path: string) => string;
  readonly problems: RuleProblem[];
  /** Problems of .conf files, at their own places. */
  readonly fileErrors: ConfigProblem[];
  readonly fileWarnings: ConfigProblem[];
}

const KEYS_OF_WIREGUARD = [
  "file",
  "privateKey",
  "addresses",
  "mtu",
  "listenPort",
  "peers",
  "amnezia",
];
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
  const file = valueAt(raw, ["file"]);
  const conf = typeof file === "string"
    ? readFile(raw, { path, file, reading })
    : readInline(raw, { path, problems });
  if (conf === undefined) return undefined;
  const where = [...path, typeof file === "string" ? "file" : "peers"];
  checkConf(conf, type, { path, where, problems });
  return { kind: "wireguard", interface: conf.interface, peers: conf.peers };
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

function readFile(
  raw: unknown,
  { path, file, reading }: {
    path: readonly PathStep[];
    file: string;
    reading: TunnelReading;
  },
): WgConf | undefined {
  const { problems, fileErrors, fileWarnings } = reading;
  for (const key of KEYS_OF_WIREGUARD.slice(1)) {
    if (valueAt(raw, [key]) === undefined) continue;
    problems.push(ruleError(
      [...path, key],
      "can't stand beside file; it is said there",
    ));
  }
  try {
    const conf = parseWireguardConf(reading.readFile(file), file);
    fileWarnings.push(...conf.warnings);
    return conf;
  } catch (error) {
    if (error instanceof ConfigError) fileErrors.push(...error.problems);
    else {
      const message = `${file} ${describeReadError(error)}`;
      problems.push(ruleError([...path, "file"], message));
    }
    return undefined;
  }
}

function readInline(
  raw: unknown,
  { path, problems }: {
    path: readonly PathStep[];
    problems: RuleProblem[];
  },
): WgConf | undefined {
  const missing = ["privateKey", "addresses", "peers"].filter((key) =>
    valueAt(raw, [key]) === undefined
  );
  if (missing.length > 0) {
    const what = missing.length === 3
      ? "file, or privateKey, addresses and peers"
      : missing.join(" and ");
    problems.push(ruleError(path, `needs ${what}`));
    return undefined;
  }
  const amnezia = valueAt(raw, ["amnezia"]);
  const mtu = numberAt(raw, "mtu");
  for (const { key, message } of amneziaProblems(amnezia, mtu)) {
    problems.push(ruleError([...path, "amnezia", key], message));
  }
  const privateKey = keyAt(raw, "privateKey");
  const peers = listAt(raw, ["peers"]).map(readPeer);
  if (privateKey === undefined || peers.includes(undefined)) return undefined;
  return {
    interface: {
      privateKey,
      addresses: prefixesAt(raw, "addresses"),
      dns: [],
      dnsSearch: [],
      mtu,
      listenPort: numberAt(raw, "listenPort"),
      amnezia: typeof amnezia === "object" && amnezia !== null
        ? amneziaParameters(amnezia)
        : undefined,
    },
    peers: peers.filter((peer) => peer !== undefined),
    warnings: [],
  };
}

/** @returns undefined where the schema refuses the peer. */
function readPeer(raw: unknown): WgPeer | undefined {
  const publicKey = keyAt(raw, "publicKey");
  if (publicKey === undefined) return undefined;
  const endpoint = valueAt(raw, ["endpoint"]);
  const keepalive = valueAt(raw, ["persistentKeepalive"]);
  const keepaliveMs =
    typeof keepalive === "string" || typeof keepalive === "number"
      ? parseDuration(keepalive) ?? 0
      : 0;
  return {
    publicKey,
    presharedKey: keyAt(raw, "presharedKey"),
    allowedIps: prefixesAt(raw, "allowedIps"),
    endpoint: typeof endpoint === "string"
      ? parseHostPort(endpoint)
      : undefined,
    persistentKeepalive: Math.round(keepaliveMs / 1000),
  };
}

function checkConf(
  conf: WgConf,
  type: "wireguard" | "amneziawg",
  { path, where, problems }: {
    path: readonly PathStep[];
    where: readonly PathStep[];
    problems: RuleProblem[];
  },
): void {
  const { interface: own, peers } = conf;
  if (type === "wireguard" && own.amnezia !== undefined) {
    problems.push(ruleError(
      [...path, "type"],
      "must be amneziawg: the tunnel has AmneziaWG's parameters",
    ));
  }
  if (own.addresses.length === 0) {
    problems.push(ruleError(where, "has no Address"));
  }
  if (peers.length === 0) problems.push(ruleError(where, "has no [Peer]"));
  else if (peers.every(({ endpoint }) => endpoint === undefined)) {
    problems.push(ruleError(
      where,
      "has no endpoint: a client must know where to connect to",
    ));
  }
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

function keyAt(raw: unknown, key: string): Uint8Array | undefined {
  const text = valueAt(raw, [key]);
  return typeof text === "string" ? parseKey(text) : undefined;
}

function numberAt(raw: unknown, key: string): number | undefined {
  const value = valueAt(raw, [key]);
  return typeof value === "number" ? value : undefined;
}

function prefixesAt(raw: unknown, key: string) {
  return readPrefixes(raw, [key], readPrefix).map(({ prefix }) => prefix);
}
