/**
 * Rules about the peers of a server.yaml: names and keys are unique, addresses
 * lie inside the interface's prefixes and belong to one peer each.
 */
import { formatAddress, formatPrefix } from "../core/wire/address.ts";
import { parseKey } from "./keys.ts";
import {
  contains,
  hostPrefix,
  hostRange,
  networkOf,
  overlaps,
  prefixRange,
  readPrefix,
  samePrefix,
} from "./prefix.ts";
import {
  listAt,
  type PlacedPrefix,
  readPrefixes,
  ruleError,
  type RuleProblem,
  valueAt,
} from "./raw_document.ts";

/** A prefix of a peer, and which peer it is. */
type PeerPrefix = PlacedPrefix & { readonly peer: number };

/**
 * Names and keys used twice.
 * @param gatewayKey the gateway's public key, where it is known.
 */
export function checkPeerIdentities(
  raw: unknown,
  gatewayKey: Uint8Array | undefined,
  problems: RuleProblem[],
): void {
  const names = new Map<string, number>();
  const keys = new Map<string, number>();
  const gateway = gatewayKey?.join();
  for (const [i, peer] of listAt(raw, ["peers"]).entries()) {
    const name = valueAt(peer, ["name"]);
    if (typeof name === "string") {
      // Names are compared as DNS compares them.
      const earlier = names.get(name.toLowerCase());
      if (earlier !== undefined) {
        problems.push(
          ruleError(
            ["peers", i, "name"],
            `"${name}" is the name of peers[${earlier}] already`,
          ),
        );
      } else {
        names.set(name.toLowerCase(), i);
      }
    }
    const text = valueAt(peer, ["publicKey"]);
    const key = typeof text === "string" ? parseKey(text) : undefined;
    if (key === undefined) continue;
    const id = key.join();
    const earlier = keys.get(id);
    if (id === gateway) {
      problems.push(
        ruleError(
          ["peers", i, "publicKey"],
          "is the gateway's own key; each end needs its own",
        ),
      );
    } else if (earlier !== undefined) {
      problems.push(
        ruleError(
          ["peers", i, "publicKey"],
          `is the key of ${describePeer(raw, earlier)} already`,
        ),
      );
    } else {
      keys.set(id, i);
    }
  }
}

/** Addresses outside of the interface, and such that two peers claim. */
export function checkPeerPrefixes(
  raw: unknown,
  interfaceAddresses: readonly PlacedPrefix[],
  problems: RuleProblem[],
): void {
  const taken: PeerPrefix[] = [];
  const routed: PeerPrefix[] = [];
  for (const i of listAt(raw, ["peers"]).keys()) {
    for (
      const placed of readPrefixes(raw, ["peers", i, "addresses"], readPrefix)
    ) {
      checkPeerAddress(placed, interfaceAddresses, problems);
      taken.push({ ...placed, peer: i });
    }
    for (
      const placed of readPrefixes(raw, ["peers", i, "allowedIps"], readPrefix)
    ) {
      routed.push({ ...placed, peer: i });
    }
  }
  reportOverlaps(raw, taken, problems);
  reportSame(raw, routed, problems);
}

function checkPeerAddress(
  { prefix, path }: PlacedPrefix,
  interfaceAddresses: readonly PlacedPrefix[],
  problems: RuleProblem[],
): void {
  const text = formatPrefix(prefix);
  const home = interfaceAddresses.find((candidate) =>
    contains(candidate.prefix, prefix)
  );
  if (home === undefined) {
    const known = interfaceAddresses.map((candidate) =>
      formatPrefix(networkOf(candidate.prefix))
    );
    if (known.length === 0) return;
    problems.push(ruleError(
      path,
      `${text} is outside of the interface's ${
        known.length === 1 ? "prefix" : "prefixes"
      } ${known.join(", ")}; ` +
        "networks behind a peer go into allowedIps",
    ));
    return;
  }
  const gateway = hostPrefix(home.prefix.family, home.prefix.words);
  if (overlaps(prefix, gateway)) {
    problems.push(
      ruleError(
        path,
        `${text} holds the gateway's own address ${
          formatAddress(home.prefix.words)
        }`,
      ),
    );
    return;
  }
  const single = prefixRange(prefix);
  const hosts = hostRange(home.prefix);
  if (
    single.first === single.last &&
    (single.first < hosts.first || single.first > hosts.last)
  ) {
    problems.push(
      ruleError(
        path,
        `${text} is the network or broadcast address of its prefix`,
      ),
    );
  }
}

/** Overlaps between the peers' own addresses, by one sweep in address order. */
function reportOverlaps(
  raw: unknown,
  taken: readonly PeerPrefix[],
  problems: RuleProblem[],
): void {
  const order = new Map(taken.map((entry, i) => [entry, i]));
  const ranges = taken.map((entry) => ({ entry, ...prefixRange(entry.prefix) }))
    .sort((a, b) => a.first < b.first ? -1 : a.first > b.first ? 1 : 0);
  let widest: typeof ranges[number] | undefined;
  for (const range of ranges) {
    if (widest !== undefined && range.first <= widest.last) {
      const [earlier, later] =
        order.get(widest.entry)! < order.get(range.entry)!
          ? [widest.entry, range.entry]
          : [range.entry, widest.entry];
      problems.push(ruleError(
        later.path,
        earlier.peer === later.peer
          ? `${formatPrefix(later.prefix)} overlaps ${
            formatPrefix(earlier.prefix)
          } of the same peer`
          : `${formatPrefix(later.prefix)} overlaps ${
            formatPrefix(earlier.prefix)
          } of ${describePeer(raw, earlier.peer)}`,
      ));
    }
    if (widest === undefined || range.last > widest.last) widest = range;
  }
}

/** The same prefix routed to two peers; nested ones are fine, the longest wins. */
function reportSame(
  raw: unknown,
  routed: readonly PeerPrefix[],
  problems: RuleProblem[],
): void {
  const first = new Map<string, PeerPrefix>();
  for (const entry of routed) {
    const id = formatPrefix(networkOf(entry.prefix));
    const earlier = first.get(id);
    if (earlier === undefined) {
      first.set(id, entry);
    } else if (samePrefix(earlier.prefix, entry.prefix)) {
      problems.push(
        ruleError(
          entry.path,
          `${id} goes to ${describePeer(raw, earlier.peer)} already`,
        ),
      );
    }
  }
}

function describePeer(raw: unknown, index: number): string {
  const name = valueAt(raw, ["peers", index, "name"]);
  return typeof name === "string" ? `peer "${name}"` : `peers[${index}]`;
}
