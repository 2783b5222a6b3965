/**
 * How the host would send to a destination. By the routes themselves: GetBestRoute2
 * knows no «as if some interfaces were not there», which is how packets of our
 * own go.
 */
import {
  type AddressWords,
  equalWords,
  isMappedIpv4,
} from "../../../core/wire/address.ts";
import type { Egress } from "../../ports.ts";
import type { IpTables } from "./ip_helper.ts";
import { chooseRoute, chooseSource } from "./route_choice.ts";

/** Loopback is the first interface of every Windows. */
const LOOPBACK_INDEX = 1;

/**
 * The way out; undefined without one.
 * @param leftOut numbers of interfaces that don't count.
 */
export function findEgress(
  tables: IpTables,
  words: AddressWords,
  leftOut: readonly number[],
): Egress | undefined {
  const addresses = tables.addresses();
  const own = addresses.find((one) => equalWords(one.words, 0, words, 0));
  if (own !== undefined) {
    return { interfaceIndex: LOOPBACK_INDEX, source: own.words };
  }
  const links = tables.links()
    .filter(({ up, index }) => up && !leftOut.includes(index));
  const connected = links.filter(({ running }) => running);
  const routes = tables.routes();
  const among = (some: typeof links) =>
    chooseRoute(
      routes,
      words,
      (index) => some.some((link) => link.index === index),
    );
  // An interface without its link is better than none: it may come.
  const route = among(connected) ?? among(links);
  // What is led into loopback goes nowhere, unless it belongs there.
  const isLost = route?.index === LOOPBACK_INDEX && !isLoopback(words);
  if (route === undefined || isLost) return undefined;
  return {
    interfaceIndex: route.index,
    source: tables.bestSource(route.index, words) ??
      chooseSource(addresses, route, words),
  };
}

/** Of IPv4; IPv6 has one address, which the interface has. */
function isLoopback(words: AddressWords): boolean {
  return isMappedIpv4(words) && words[3] >>> 24 === 127;
}
