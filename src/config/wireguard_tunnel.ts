/**
 * Tunnels with keys: reads one from its .conf file or from what stands in
 * client.yaml, to the same parts.
 */
import { amneziaParameters, amneziaProblems } from "./amnezia_config.ts";
import { describeReadError } from "./config_text.ts";
import { parseDuration } from "./duration.ts";
import { parseHostPort } from "./endpoint.ts";
import { parseKey } from "./keys.ts";
import { readPrefix } from "./prefix.ts";
import { ConfigError, type ConfigProblem } from "./problems.ts";
import {
  listAt,
  type PathStep,
  readPrefixes,
  ruleError,
  type RuleProblem,
  valueAt,
} from "./raw_document.ts";
import { parseWireguardConf, type WgConf, type WgPeer } from "./wg_conf.ts";

/** What reading tunnels needs and finds. */
export interface TunnelReading {
  /** Reads a .conf file; throws what the system says. */
  readonly readFile: (path: string) => string;
  readonly problems: RuleProblem[];
  /** Problems of .conf files, at their own places. */
  readonly fileErrors: ConfigProblem[];
  readonly fileWarnings: ConfigProblem[];
}

/** Keys of a tunnel that only these kinds have; `file` says the rest. */
export const KEYS_OF_WIREGUARD: readonly string[] = [
  "file",
  "privateKey",
  "addresses",
  "mtu",
  "listenPort",
  "peers",
  "amnezia",
];

/**
 * The parts of a tunnel; what is wrong with them becomes problems.
 * @param raw the tunnel unchecked.
 * @returns undefined where they could not be read.
 */
export function readWireguardTunnel(
  raw: unknown,
  type: "wireguard" | "amneziawg",
  { path, reading }: { path: readonly PathStep[]; reading: TunnelReading },
): WgConf | undefined {
  const { problems } = reading;
  const file = valueAt(raw, ["file"]);
  const conf = typeof file === "string"
    ? readConfFile(raw, { path, file, reading })
    : readInline(raw, { path, problems });
  if (conf === undefined) return undefined;
  const where = [...path, typeof file === "string" ? "file" : "peers"];
  checkConf(conf, type, { path, where, problems });
  return conf;
}

function readConfFile(
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
