/**
 * What an interface should have against what it has: which addresses and routes
 * to remove, which to add, and which are ours after that.
 */
import { equalWords, formatPrefix } from "../../core/wire/address.ts";
import type {
  InterfaceConfig,
  JournalEntry,
  NetworkWarning,
} from "../ports.ts";
import type { LinkAddress, Route, RouteRequest } from "./network_entities.ts";

/** IPv6 does not exist on links that carry less (RFC 8200, section 5). */
export const IPV6_MINIMUM_MTU = 1280;

/** What to remove, what to add, and what is ours after that. */
export function planChange<T>(
  owned: readonly T[],
  wanted: readonly T[],
  is: { same: (a: T, b: T) => boolean; isPresent: (entry: T) => boolean },
): { unwanted: T[]; missing: T[]; ours: T[] } {
  const among = (list: readonly T[]) => (entry: T) =>
    list.some((other) => is.same(entry, other));
  const unwanted = owned.filter((entry) => !among(wanted)(entry));
  const missing = wanted.filter((entry) => !is.isPresent(entry));
  const ours = wanted
    .filter((entry) => among(owned)(entry) || among(missing)(entry));
  return { unwanted, missing, ours };
}

/**
 * Leaves IPv6 out where an interface cannot have it.
 * @param reason why it cannot; undefined where it can.
 */
export function withoutIpv6(
  config: InterfaceConfig,
  reason: NetworkWarning["reason"] | undefined,
): { possible: InterfaceConfig; warnings: NetworkWarning[] } {
  const six = [...config.addresses, ...config.routes]
    .filter((entry) => entry.family === 6);
  if (six.length === 0 || reason === undefined) {
    return { possible: config, warnings: [] };
  }
  return {
    possible: {
      ...config,
      addresses: config.addresses.filter((address) => address.family === 4),
      routes: config.routes.filter((route) => route.family === 4),
    },
    warnings: [{
      kind: "ipv6-off",
      reason,
      interface: config.name,
      omitted: six.map(prefixText),
    }],
  };
}

/** A destination, or an address with its network. */
export type Network = Pick<RouteRequest, "family" | "words" | "prefixLength">;

/** As text: `10.8.0.0/16`. */
export function prefixText(network: Network): string {
  return formatPrefix({
    family: network.family,
    words: Uint32Array.from(network.words),
    length: network.prefixLength,
  });
}

/** The address with its host bits cleared: routes have to be like that. */
export function networkWords(network: Network): Int32Array {
  const words = Int32Array.from(network.words);
  let left = network.prefixLength + (network.family === 4 ? 96 : 0);
  for (let w = 0; w < 4; w++, left -= 32) {
    if (left <= 0) words[w] = 0;
    else if (left < 32) words[w] &= ~(0xffffffff >>> left);
  }
  return words;
}

/** Whether two are for the same addresses. */
export function sameNetwork(a: Network, b: Network): boolean {
  return a.family === b.family && a.prefixLength === b.prefixLength &&
    equalWords(a.words, 0, b.words, 0);
}

/** Whether two are the same address of the same interface. */
export function sameAddress(a: LinkAddress, b: LinkAddress): boolean {
  return a.index === b.index && sameNetwork(a, b);
}

/** Whether two ask for the same route. */
export function sameRoute(a: RouteRequest, b: RouteRequest): boolean {
  return a.index === b.index && a.metric === b.metric && sameNetwork(a, b);
}

/** Whether a route that is there does what a wanted one is for. */
export function fulfils(
  present: Route,
  wanted: RouteRequest,
): boolean {
  return present.index === wanted.index && sameNetwork(present, wanted) &&
    present.gateway === undefined &&
    (wanted.metric === undefined || present.metric === wanted.metric);
}

/** The journal's entries for what an interface got. */
export function journalEntries(
  link: { readonly name: string; readonly index: number },
  addresses: readonly LinkAddress[],
  routes: readonly RouteRequest[],
): JournalEntry[] {
  const place = { interface: link.name, index: link.index };
  return [
    ...addresses.map((address) => ({
      kind: "address" as const,
      ...place,
      prefix: prefixText(address),
    })),
    ...routes.map((route) => ({
      kind: "route" as const,
      ...place,
      prefix: prefixText(route),
      metric: route.metric,
    })),
  ];
}
