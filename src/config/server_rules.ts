/**
 * What a server.yaml must hold beyond the form of single values: nothing
 * twice, nothing overlapping, everything inside its prefix.
 *
 * The rules read the raw document and skip whatever is malformed, so that one
 * run names every problem, also where the schema has found others.
 */
import {
  formatAddress,
  isMulticast,
  type Prefix,
} from "../core/wire/address.ts";
import { amneziaProblems } from "./amnezia_config.ts";
import { formatDuration } from "./duration.ts";
import { parseHostPort } from "./endpoint.ts";
import { checkPeerIdentities, checkPeerPrefixes } from "./peer_rules.ts";
import { addressNumber, hostRange, readInterfaceAddress } from "./prefix.ts";
import {
  durationAt,
  type PathStep,
  type PlacedPrefix,
  readPrefixes,
  ruleError,
  type RuleProblem,
  valueAt,
} from "./raw_document.ts";
import { parsePortRange } from "./server_config.ts";
import { checkTcpProxy } from "./tcp_proxy_rules.ts";

const LEAST_MAPPING_MS = 120_000;
const LEAST_ECHO_MS = 60_000;
const LEAST_TCP_MS = (2 * 60 + 4) * 60_000;
const LEAST_IPV6_MTU = 1280;

/**
 * Every broken rule of a document.
 * @param raw the document as plain values, unchecked.
 * @param gatewayKey the gateway's public key, where it is known.
 */
export function checkServerRules(
  raw: unknown,
  gatewayKey: Uint8Array | undefined,
): RuleProblem[] {
  const problems: RuleProblem[] = [];
  const addresses = readPrefixes(
    raw,
    ["interface", "addresses"],
    readInterfaceAddress,
  );
  checkInterface(raw, problems);
  checkAddresses(addresses, problems);
  checkForward(raw, problems);
  checkTcpProxy(raw, problems);
  checkDns(raw, problems);
  checkPeerIdentities(raw, gatewayKey, problems);
  checkPeerPrefixes(raw, addresses, problems);
  return problems;
}

function checkInterface(raw: unknown, problems: RuleProblem[]): void {
  const at = ["interface"];
  const inline = valueAt(raw, [...at, "privateKey"]);
  const file = valueAt(raw, [...at, "privateKeyFile"]);
  if (inline === undefined && file === undefined) {
    problems.push(
      ruleError(
        at,
        "needs privateKey or privateKeyFile; sluice genkey makes a key",
      ),
    );
  }
  if (inline !== undefined && file !== undefined) {
    problems.push(
      ruleError(
        [...at, "privateKeyFile"],
        "can't stand beside privateKey; keep one of them",
      ),
    );
  }
  const endpoint = valueAt(raw, [...at, "publicEndpoint"]);
  if (
    typeof endpoint === "string" && valueAt(raw, [...at, "listenPort"]) === 0
  ) {
    if (
      parseHostPort(endpoint) === undefined &&
      parseHostPort(endpoint, 1) !== undefined
    ) {
      problems.push(
        ruleError(
          [...at, "publicEndpoint"],
          "needs its port, because listenPort is 0: write HOST:PORT",
        ),
      );
    }
  }
  const amnezia = valueAt(raw, [...at, "amnezia"]);
  if (amnezia !== undefined) {
    const mtu = valueAt(raw, [...at, "mtu"]);
    const known = typeof mtu === "number" ? mtu : undefined;
    for (const { key, message } of amneziaProblems(amnezia, known)) {
      problems.push(ruleError([...at, "amnezia", key], message));
    }
  }
}

function checkAddresses(
  addresses: readonly PlacedPrefix[],
  problems: RuleProblem[],
): void {
  for (const [i, { prefix, path }] of addresses.entries()) {
    const { first, last } = hostRange(prefix);
    const value = addressNumber(prefix.words);
    if (last - first < 1n) {
      const widest = prefix.family === 4 ? 30 : 126;
      problems.push(ruleError(
        path,
        `the prefix /${prefix.length} is too small: it must hold the gateway and at least one peer; /${widest} or shorter will do`,
      ));
    } else if (isMulticast(prefix.words) || isLoopback(prefix)) {
      problems.push(
        ruleError(
          path,
          "not an address for an interface: take a private one, such as 10.66.0.1/24",
        ),
      );
    } else if (value < first || value > last) {
      const what = value < first ? "network" : "broadcast";
      problems.push(
        ruleError(
          path,
          `${
            formatAddress(prefix.words)
          } is the ${what} address of its prefix; take another`,
        ),
      );
    }
    const sameFamily = (other: PlacedPrefix) =>
      other.prefix.family === prefix.family;
    if (addresses.slice(0, i).some(sameFamily)) {
      problems.push(ruleError(
        path,
        `is a second IPv${prefix.family} address; the gateway has one of each family`,
      ));
    }
  }
}

function checkForward(raw: unknown, problems: RuleProblem[]): void {
  const mtu = valueAt(raw, ["interface", "mtu"]);
  const hasIpv6 = readPrefixes(
    raw,
    ["interface", "addresses"],
    readInterfaceAddress,
  )
    .some(({ prefix }) => prefix.family === 6);
  if (typeof mtu === "number" && mtu < LEAST_IPV6_MTU && hasIpv6) {
    problems.push(ruleError(
      ["interface", "mtu"],
      `must be at least ${LEAST_IPV6_MTU} where the interface has an IPv6 address`,
    ));
  }
  const udp = ["forward", "udp"];
  const ports = valueAt(raw, [...udp, "ports"]);
  if (typeof ports === "string" && /^\d{1,5}-\d{1,5}$/.test(ports)) {
    const [first, last] = parsePortRange(ports);
    if (first < 1 || last > 65535 || first > last) {
      problems.push(
        ruleError(
          [...udp, "ports"],
          "must go from a lower to a higher port, both 1 to 65535",
        ),
      );
    }
  }
  const all = valueAt(raw, [...udp, "maxMappings"]);
  const each = valueAt(raw, [...udp, "maxMappingsPerPeer"]);
  if (typeof all === "number" && typeof each === "number" && each > all) {
    problems.push(
      ruleError(
        [...udp, "maxMappingsPerPeer"],
        `can't be more than maxMappings (${all})`,
      ),
    );
  }
  warnBelow(
    raw,
    problems,
    [...udp, "mappingTimeout"],
    LEAST_MAPPING_MS,
    "RFC 4787",
  );
  warnBelow(
    raw,
    problems,
    ["forward", "icmp", "timeout"],
    LEAST_ECHO_MS,
    "RFC 5508",
  );
  warnBelow(
    raw,
    problems,
    ["forward", "tcpProxy", "idleTimeout"],
    LEAST_TCP_MS,
    "RFC 5382",
  );
}

function checkDns(raw: unknown, problems: RuleProblem[]): void {
  const least = durationAt(raw, ["dns", "cache", "minTtl"]);
  const most = durationAt(raw, ["dns", "cache", "maxTtl"]);
  if (least !== undefined && most !== undefined && least > most) {
    problems.push(
      ruleError(["dns", "cache", "minTtl"], "can't be longer than maxTtl"),
    );
  }
  if (durationAt(raw, ["dns", "timeout"]) === 0) {
    problems.push(ruleError(["dns", "timeout"], "must be longer than 0"));
  }
}

function isLoopback(prefix: Prefix): boolean {
  if (prefix.family === 4) {
    const first = prefix.words[3] >>> 24;
    return first === 127 || first === 0;
  }
  return addressNumber(prefix.words) <= 1n;
}

function warnBelow(
  raw: unknown,
  problems: RuleProblem[],
  path: readonly PathStep[],
  least: number,
  source: string,
): void {
  const value = durationAt(raw, path);
  if (value === undefined || value >= least) return;
  const message = `${formatDuration(value)} is shorter than the ${
    formatDuration(least)
  } that ${source} asks for`;
  problems.push({ severity: "warning", path, message });
}
