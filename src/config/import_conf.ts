/**
 * Makes a tunnel and rules for client.yaml from a `.conf` file of WireGuard,
 * AmneziaWG or WireSock.
 *
 * WireSock sends through the tunnel what is of its AllowedApps (or of any
 * program, where there are none) and goes to AllowedIPs, unless DisallowedApps
 * or DisallowedIPs except it; the rest goes direct. So the rules are, in order:
 * excepted networks, excepted programs, what goes through the tunnel.
 */
import { stringify } from "yaml";
import { formatPrefix, type Prefix } from "../core/wire/address.ts";
import { amneziaEntries, amneziaKey } from "./amnezia_config.ts";
import type { ItemEntry } from "./edit_client_config.ts";
import { formatHostPort } from "./endpoint.ts";
import { formatKey } from "./keys.ts";
import { readPrefix } from "./prefix.ts";
import { ConfigError, type ConfigProblem, sortProblems } from "./problems.ts";
import {
  readWiresock,
  type WiresockParts,
  type WiresockValue,
} from "./wiresock.ts";
import { parseWireguardConf, type WgConf, type WgPeer } from "./wg_conf.ts";

/** A file as parts of a client.yaml. */
export interface ImportedConf {
  /** A whole client.yaml: the tunnel, the rules, the default. Holds secrets. */
  readonly text: string;
  /** An item for `tunnels`. */
  readonly tunnel: ItemEntry;
  /** Items for `rules`, in order. */
  readonly rules: readonly ItemEntry[];
  /** direct, or the name of the tunnel. */
  readonly default: string;
  /** What was left out or can't be done as the file has it. */
  readonly warnings: readonly ConfigProblem[];
}

/** Networks that are nobody's outside: RFC 1918, 3927, 4193, 4291. */
const LAN = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "fc00::/7",
  "fe80::/10",
];

const LARGEST_MTU = 9000;

/** A name for the tunnel of a file: `/etc/wireguard/My VPN.conf` is `My-VPN`. */
export function tunnelNameOf(path: string): string {
  const stem = path.split(/[/\\]/).at(-1)!.replace(/\.conf$/i, "");
  const name = stem.replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "").slice(0, 32)
    .replace(/[^A-Za-z0-9]+$/, "");
  return ["", "direct", "drop", "nextRule"].includes(name) ? "vpn" : name;
}

/**
 * Reads a file.
 * @param options.file its name for messages.
 * @param options.name the tunnel's.
 * @throws ConfigError with every problem, each with line and column.
 */
export function importConf(
  text: string,
  { file, name }: { file: string; name: string },
): ImportedConf {
  const parts = readWiresock(text, file);
  const errors: ConfigProblem[] = [];
  const excepted = readPrefixes(parts.disallowedIps, { file, errors });
  const allowed = readPrefixes(parts.allowedIps, { file, errors });
  const conf = readConf(parts.text, { file, errors });
  const warnings = [...parts.warnings, ...conf.warnings];
  const reached = allowed.length > 0
    ? allowed
    : conf.peers.flatMap(({ allowedIps }) => allowedIps);
  const rules = [
    ...exceptions(parts, excepted),
    ...ownRules(conf, { parts, reached, name }),
  ];
  const everything = parts.allowedApps.length === 0 &&
    isEverything(reached, conf);
  const tunnel = tunnelEntry(conf, name);
  const entries = { tunnel, rules, default: everything ? name : "direct" };
  if (reached.length === 0) {
    warnings.push(
      wholeFile(file, "has no AllowedIPs: nothing goes through it"),
    );
  }
  warnIpv6({ file, conf, reached, warnings });
  return {
    ...entries,
    text: stringify({
      tunnels: [tunnel],
      rules,
      default: entries.default,
    }, { lineWidth: 0 }),
    warnings: sortProblems(warnings),
  };
}

function readConf(
  text: string,
  { file, errors }: { file: string; errors: ConfigProblem[] },
): WgConf {
  try {
    const conf = parseWireguardConf(text, file);
    if (conf.peers.every(({ endpoint }) => endpoint === undefined)) {
      errors.push(
        wholeFile(
          file,
          "has no Endpoint: a client must know where to connect to",
        ),
      );
    }
    if (conf.interface.addresses.length === 0) {
      errors.push(wholeFile(file, "has no Address in [Interface]"));
    }
    if (errors.length === 0) return conf;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    errors.push(...error.problems);
  }
  throw new ConfigError(sortProblems(errors));
}

function wholeFile(file: string, message: string): ConfigProblem {
  return { file, line: 0, column: 0, path: "", message };
}

function readPrefixes(
  values: readonly WiresockValue[],
  { file, errors }: { file: string; errors: ConfigProblem[] },
): Prefix[] {
  return values.flatMap(({ text, line, column }) => {
    const prefix = readPrefix(text);
    if (prefix !== undefined) return [prefix];
    const message = `${
      JSON.stringify(text)
    } is not an address or prefix, such as 192.168.0.0/16`;
    errors.push({ file, line, column, path: "", message });
    return [];
  });
}

function tunnelEntry(
  { interface: own, peers }: WgConf,
  name: string,
): ItemEntry {
  const amnezia = own.amnezia && Object.fromEntries(
    amneziaEntries(own.amnezia).map(([key, text]) => [
      amneziaKey(key),
      /^\d+$/.test(text) ? Number(text) : text,
    ]),
  );
  return compact({
    name,
    type: amnezia === undefined ? "wireguard" : "amneziawg",
    privateKey: formatKey(own.privateKey),
    addresses: own.addresses.map(formatPrefix),
    dns: own.dns.length === 0 ? undefined : own.dns,
    mtu: own.mtu === undefined ? undefined : Math.min(own.mtu, LARGEST_MTU),
    listenPort: own.listenPort,
    amnezia,
    peers: peers.map(peerEntry),
  });
}

function peerEntry(peer: WgPeer): ItemEntry {
  return compact({
    publicKey: formatKey(peer.publicKey),
    presharedKey: peer.presharedKey && formatKey(peer.presharedKey),
    endpoint: peer.endpoint && formatHostPort(peer.endpoint),
    allowedIps: peer.allowedIps.map(formatPrefix),
    persistentKeepalive: peer.persistentKeepalive === 0
      ? undefined
      : `${peer.persistentKeepalive}s`,
  });
}

/** Rules for what goes direct although the tunnel could take it. */
function exceptions(
  { lan, disallowedApps }: WiresockParts,
  excepted: readonly Prefix[],
): ItemEntry[] {
  const networks = [
    ...excepted.map(formatPrefix),
    ...(lan === "bypass" ? LAN : []),
  ];
  const rules: ItemEntry[] = [];
  if (networks.length > 0) {
    rules.push({ destination: networks, tunnel: "direct" });
  }
  for (const programs of programConditions(disallowedApps)) {
    rules.push({ ...programs, tunnel: "direct" });
  }
  return rules;
}

/** Rules for what goes through the tunnel; none where all of it does by default. */
function ownRules(
  conf: WgConf,
  { parts, reached, name }: {
    parts: WiresockParts;
    reached: readonly Prefix[];
    name: string;
  },
): ItemEntry[] {
  if (reached.length === 0) return [];
  const all = isEverything(reached, conf);
  const destination = all ? {} : { destination: reached.map(formatPrefix) };
  if (parts.allowedApps.length > 0) {
    return programConditions(parts.allowedApps).map((programs) => ({
      ...programs,
      ...destination,
      tunnel: name,
    }));
  }
  return all ? [] : [{ ...destination, tunnel: name }];
}

/**
 * Conditions on programs, one for each kind: a name alone, with the ending that
 * Windows gives it or without; a folder; a path.
 */
function programConditions(values: readonly WiresockValue[]): ItemEntry[] {
  const texts = values.map(({ text }) => text.replaceAll('"', ""));
  const names = texts.filter((text) => !/[/\\]/.test(text));
  const paths = texts.filter((text) => /[/\\]/.test(text));
  const isFolder = (text: string) =>
    /[/\\]$/.test(text) ||
    (!text.startsWith("/") && !/\.(?:exe|com|scr|bat|cmd)$/i.test(text));
  const folders = paths.filter(isFolder);
  const whole = folders.filter(isAbsolute);
  const patterns = [
    ...folders.filter((text) => !isAbsolute(text)).map((text) =>
      `**/${text.replace(/^[/\\]+|[/\\]+$/g, "")}/**`
    ),
    ...paths.filter((text) => !isFolder(text)).map((text) =>
      isAbsolute(text) ? text : `**/${text}`
    ),
  ];
  const conditions: ItemEntry[] = [];
  if (names.length > 0) {
    conditions.push({ process: names.flatMap(nameForms) });
  }
  if (whole.length > 0) conditions.push({ directory: whole });
  if (patterns.length > 0) conditions.push({ path: patterns });
  return conditions;
}

function nameForms(name: string): string[] {
  return /\.[A-Za-z]{1,4}$/.test(name) ? [name] : [name, `${name}.exe`];
}

function isAbsolute(path: string): boolean {
  return /^(?:[A-Za-z]:[/\\]|[/\\])/.test(path);
}

/** Whether all goes through: of IPv6 all that the tunnel could carry. */
function isEverything(
  reached: readonly Prefix[],
  { interface: own }: WgConf,
): boolean {
  const has = (family: 4 | 6) =>
    reached.some((prefix) => prefix.family === family && prefix.length === 0);
  const ipv6 = own.addresses.some(({ family }) => family === 6);
  return has(4) && (has(6) || !ipv6);
}

function warnIpv6({ file, conf, reached, warnings }: {
  file: string;
  conf: WgConf;
  reached: readonly Prefix[];
  warnings: ConfigProblem[];
}): void {
  const ipv6 = conf.interface.addresses.some(({ family }) => family === 6);
  if (ipv6 || !isEverything(reached, conf)) return;
  warnings.push(wholeFile(
    file,
    "has no IPv6 address: IPv6 of programs that use the tunnel is dropped; ipv6: direct lets it out",
  ));
}

function compact(entry: Record<string, unknown>): ItemEntry {
  return Object.fromEntries(
    Object.entries(entry).filter(([, value]) => value !== undefined),
  );
}
