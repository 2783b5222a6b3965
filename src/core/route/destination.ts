/**
 * What kind of place an address is, seen from the gateway. Special ranges after
 * RFC 6890 and RFC 4291 section 2.4.
 */
import {
  equalWords,
  isMappedIpv4,
  isUnspecified,
  type Prefix,
  setMappedIpv4,
} from "../wire/address.ts";
import { PrefixList } from "./prefix_list.ts";

/** Kinds of destinations. */
export const DestinationKind = {
  /** Anywhere else. */
  Outside: 0,
  /** In one of the VPN's subnets. */
  Inside: 1,
  /** The gateway's own address in the VPN. */
  Gateway: 2,
  /** One of the host's addresses on the outside. */
  HostOutside: 3,
  /** Nothing that a packet may be forwarded to. */
  NotForwardable: 4,
  /** The relay's address or one beside it. */
  Relay: 5,
} as const;

/** The addresses that the gateway tells apart. */
export interface DestinationsOptions {
  /** The gateway's IPv4 address, or 0. */
  readonly address4: number;
  /** The gateway's IPv6 address, or four zeros. */
  readonly address6: Int32Array;
  readonly subnets: readonly Prefix[];
  /** The host's addresses outside, 4 words each; four zeros end them before the column does. */
  readonly outsideAddresses: Int32Array;
  /** What the TCP relay has for itself. */
  readonly relayPrefixes?: readonly Prefix[];
}

/** Sorts destinations. */
export class Destinations {
  readonly #own: Int32Array;
  readonly #hostOutside: Int32Array;
  readonly #subnets: PrefixList;
  readonly #relay: PrefixList;
  readonly #broadcasts: Int32Array;

  constructor(options: DestinationsOptions) {
    this.#own = new Int32Array(8);
    setMappedIpv4(this.#own, 0, options.address4);
    this.#own.set(options.address6, 4);
    this.#hostOutside = options.outsideAddresses;
    this.#subnets = new PrefixList(options.subnets);
    this.#relay = new PrefixList(options.relayPrefixes ?? []);
    // A /31 has no broadcast address (RFC 3021), a /32 is one host.
    this.#broadcasts = Int32Array.from(
      options.subnets.filter((prefix) =>
        prefix.family === 4 && prefix.length <= 30
      ),
      (prefix) => prefix.words[3] | (0xffffffff >>> prefix.length),
    );
  }

  /** A DestinationKind for address words from index `i`. */
  kindOf(words: Int32Array, i: number): number {
    // Special ranges first: zeros stand for «no address» in the options.
    if (isSpecial(words, i)) return DestinationKind.NotForwardable;
    if (
      equalWords(this.#own, 0, words, i) || equalWords(this.#own, 4, words, i)
    ) {
      return DestinationKind.Gateway;
    }
    const outside = this.#hostOutside;
    for (
      let at = 0;
      at < outside.length && !isUnspecified(outside, at);
      at += 4
    ) {
      if (equalWords(outside, at, words, i)) {
        return DestinationKind.HostOutside;
      }
    }
    if (!this.#subnets.contains(words, i)) {
      return this.#relay.contains(words, i)
        ? DestinationKind.Relay
        : DestinationKind.Outside;
    }
    return this.#isBroadcast(words, i)
      ? DestinationKind.NotForwardable
      : DestinationKind.Inside;
  }

  #isBroadcast(words: Int32Array, i: number): boolean {
    if (!isMappedIpv4(words, i)) return false;
    for (let n = 0; n < this.#broadcasts.length; n++) {
      if (this.#broadcasts[n] === words[i + 3]) return true;
    }
    return false;
  }
}

/**
 * Whether a router forwards nothing to or from an address: unspecified,
 * loopback, link-local, multicast, reserved, broadcast.
 */
export function isSpecial(words: Int32Array, i: number): boolean {
  return isMappedIpv4(words, i)
    ? isSpecial4(words[i + 3])
    : isSpecial6(words, i);
}

function isSpecial4(address: number): boolean {
  const net = address >>> 24;
  return net === 0 || net === 127 || net >= 224 || (address >>> 16) === 0xa9fe;
}

function isSpecial6(words: Int32Array, i: number): boolean {
  const first = words[i];
  if ((first >>> 24) === 0xff || (first >>> 22) === 0x3fa) return true;
  return first === 0 && words[i + 1] === 0 && words[i + 2] === 0 &&
    (words[i + 3] >>> 1) === 0;
}
