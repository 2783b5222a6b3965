/** Hands out tunnel addresses: the lowest free one of each interface prefix. */
import { formatPrefix, type Prefix } from "../core/wire/address.ts";
import {
  addressNumber,
  addressWords,
  hostPrefix,
  hostRange,
  networkOf,
  prefixRange,
} from "../config/prefix.ts";
import { PeerError } from "./peer_error.ts";

/**
 * One free address in each prefix: neither the network's, nor the broadcast,
 * nor the gateway's, nor one that `taken` covers.
 * @param interfaceAddresses the gateway's addresses with their prefixes.
 * @throws PeerError where a prefix has none left.
 */
export function allocateAddresses(
  interfaceAddresses: readonly Prefix[],
  taken: readonly Prefix[],
): Prefix[] {
  return interfaceAddresses.map((home) => {
    const free = lowestFree(home, taken);
    if (free === undefined) {
      throw new PeerError(
        `the address pool ${formatPrefix(networkOf(home))} is full`,
        "remove a peer (sluice peer remove NAME) or give the interface a shorter prefix in interface.addresses",
      );
    }
    return hostPrefix(home.family, addressWords(free));
  });
}

function lowestFree(
  home: Prefix,
  taken: readonly Prefix[],
): bigint | undefined {
  const { first, last } = hostRange(home);
  const gateway = addressNumber(home.words);
  const ranges = taken.filter((prefix) => prefix.family === home.family)
    .map(prefixRange);
  ranges.push({ first: gateway, last: gateway });
  ranges.sort((a, b) => a.first < b.first ? -1 : a.first > b.first ? 1 : 0);
  let candidate = first;
  for (const range of ranges) {
    if (range.first > candidate) break;
    if (range.last >= candidate) candidate = range.last + 1n;
  }
  return candidate <= last ? candidate : undefined;
}
