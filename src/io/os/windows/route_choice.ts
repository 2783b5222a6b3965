/**
 * Which route a packet takes: the longest prefix, of those the least weight.
 * Asked for packets of our own, whose way no routes of ours count for.
 */
import type { AddressWords } from "../../../core/wire/address.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import type { LinkAddress } from "../network_entities.ts";
import type { WeighedRoute } from "./ip_helper.ts";

/** The best route; undefined without one. */
export function chooseRoute(
  routes: readonly WeighedRoute[],
  destination: AddressWords,
  counts: (interfaceIndex: number) => boolean,
): WeighedRoute | undefined {
  const family = isMappedIpv4(destination) ? 4 : 6;
  let best: WeighedRoute | undefined;
  for (const route of routes) {
    if (route.family !== family || !counts(route.index)) continue;
    if (!covers(route, destination)) continue;
    if (best === undefined || isBetter(route, best)) best = route;
  }
  return best;
}

/**
 * The address that an interface sends from, where the system does not tell: one
 * in the network of the next hop, or else the first.
 */
export function chooseSource(
  addresses: readonly LinkAddress[],
  route: WeighedRoute,
  destination: AddressWords,
): Int32Array | undefined {
  const own = addresses.filter(({ index, family, use }) =>
    index === route.index && family === route.family && use === undefined
  );
  const next = route.gateway ?? destination;
  return (own.find((address) => covers(address, next)) ?? own[0])?.words;
}

/** Whether an address lies in a prefix of its family. */
export function covers(
  prefix: Pick<WeighedRoute, "family" | "words" | "prefixLength">,
  address: AddressWords,
): boolean {
  let left = prefix.prefixLength + (prefix.family === 4 ? 96 : 0);
  for (let w = 0; w < 4 && left > 0; w++, left -= 32) {
    const mask = left >= 32 ? -1 : ~(0xffff_ffff >>> left);
    if (((prefix.words[w] ^ address[w]) & mask) !== 0) return false;
  }
  return true;
}

function isBetter(route: WeighedRoute, best: WeighedRoute): boolean {
  return route.prefixLength === best.prefixLength
    ? route.weight < best.weight
    : route.prefixLength > best.prefixLength;
}
