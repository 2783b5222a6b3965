/**
 * Makes a tunnel and rules for client.yaml from a `.conf` file of WireGuard,
 * AmneziaWG or WireSock; wiresock_rules.ts has the rules.
 */
import { stringify } from "yaml";
import { formatPrefix, type Prefix } from "../core/wire/address.ts";
import { fileProblem } from "./config_text.ts";
import { amneziaEntries, amneziaKey } from "./amnezia_config.ts";
import type { ItemEntry } from "./edit_client_config.ts";
import { formatHostPort } from "./endpoint.ts";
import { formatKey } from "./keys.ts";
import { readPrefix } from "./prefix.ts";
import { ConfigError, type ConfigProblem, sortProblems } from "./problems.ts";
import { readWiresock, type WiresockValue } from "./wiresock.ts";
import { isEverything, wiresockRules } from "./wiresock_rules.ts";
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
  const rules = wiresockRules(parts, { conf, excepted, reached, name });
  const everything = parts.allowedApps.length === 0 &&
    isEverything(reached, conf);
  const tunnel = tunnelEntry(conf, name);
  const entries = { tunnel, rules, default: everything ? name : "direct" };
  if (reached.length === 0) {
    warnings.push(
      fileProblem(file, "has no AllowedIPs: nothing goes through it"),
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
        fileProblem(
          file,
          "has no Endpoint: a client must know where to connect to",
        ),
      );
    }
    if (conf.interface.addresses.length === 0) {
      errors.push(fileProblem(file, "has no Address in [Interface]"));
    }
    if (errors.length === 0) return conf;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    errors.push(...error.problems);
  }
  throw new ConfigError(sortProblems(errors));
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

function warnIpv6({ file, conf, reached, warnings }: {
  file: string;
  conf: WgConf;
  reached: readonly Prefix[];
  warnings: ConfigProblem[];
}): void {
  const ipv6 = conf.interface.addresses.some(({ family }) => family === 6);
  if (ipv6 || !isEverything(reached, conf)) return;
  warnings.push(fileProblem(
    file,
    "has no IPv6 address: IPv6 of programs that use the tunnel is dropped; ipv6: direct lets it out",
  ));
}

function compact(entry: Record<string, unknown>): ItemEntry {
  return Object.fromEntries(
    Object.entries(entry).filter(([, value]) => value !== undefined),
  );
}
