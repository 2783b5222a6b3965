/**
 * Address and prefix arithmetic for configuration: what contains what, which
 * addresses of a prefix a host may have. Slow and obvious on purpose (one
 * bigint of 128 bits an address, IPv4 as ::ffff:a.b.c.d); packets never come
 * here.
 */
import {
  isMappedIpv4,
  parsePrefix,
  type Prefix,
} from "../core/wire/address.ts";

/** The numbers of a prefix, first and last address included. */
export interface AddressRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** Bits of an address of the family. */
export function addressBits(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

/** The 4 words of an address as one number. */
export function addressNumber(words: Uint32Array): bigint {
  let value = 0n;
  for (const word of words) value = (value << 32n) | BigInt(word);
  return value;
}

/** The number of an address as 4 words. */
export function addressWords(value: bigint): Uint32Array {
  const words = new Uint32Array(4);
  for (let i = 0; i < 4; i++) {
    words[i] = Number((value >> BigInt(32 * (3 - i))) & 0xffffffffn);
  }
  return words;
}

/** All addresses that a prefix covers. */
export function prefixRange(prefix: Prefix): AddressRange {
  const hostMask = (1n << BigInt(addressBits(prefix.family) - prefix.length)) -
    1n;
  const value = addressNumber(prefix.words);
  const first = value - (value & hostMask);
  return { first, last: first + hostMask };
}

/**
 * The addresses that hosts in a prefix may have: without the network address
 * (in IPv6 the subnet routers' anycast address, RFC 4291 2.6.1) and, in IPv4,
 * without the broadcast address. First is greater than last where there is none.
 */
export function hostRange(prefix: Prefix): AddressRange {
  const { first, last } = prefixRange(prefix);
  return { first: first + 1n, last: prefix.family === 4 ? last - 1n : last };
}

/** Whether the two prefixes have an address in common. */
export function overlaps(left: Prefix, right: Prefix): boolean {
  if (left.family !== right.family) return false;
  const a = prefixRange(left);
  const b = prefixRange(right);
  return a.first <= b.last && b.first <= a.last;
}

/** Whether every address of `inner` lies in `outer`. */
export function contains(outer: Prefix, inner: Prefix): boolean {
  return outer.family === inner.family && inner.length >= outer.length &&
    overlaps(outer, inner);
}

/**
 * What is left of prefixes without others: the fewest prefixes that hold just
 * that, in order of their addresses for each.
 */
export function subtract(
  prefixes: readonly Prefix[],
  without: readonly Prefix[],
): Prefix[] {
  return prefixes.flatMap((prefix) => {
    const inside = without.filter((other) => overlaps(prefix, other));
    if (inside.length === 0) return [prefix];
    if (inside.some((other) => contains(other, prefix))) return [];
    return subtract(halves(prefix), inside);
  });
}

function halves(prefix: Prefix): Prefix[] {
  const { family } = prefix;
  const length = prefix.length + 1;
  const { first } = prefixRange(prefix);
  const second = first + (1n << BigInt(addressBits(family) - length));
  return [first, second].map((value) => ({
    family,
    words: addressWords(value),
    length,
  }));
}

/** Whether the two are the same prefix, host bits ignored. */
export function samePrefix(left: Prefix, right: Prefix): boolean {
  return left.length === right.length && contains(left, right);
}

/** The prefix without its host bits. */
export function networkOf(prefix: Prefix): Prefix {
  return { ...prefix, words: addressWords(prefixRange(prefix).first) };
}

/** A prefix of one address. */
export function hostPrefix(family: 4 | 6, words: Uint32Array): Prefix {
  return { family, words, length: addressBits(family) };
}

/**
 * A prefix, or an address alone that stands for the prefix of itself. IPv4
 * written inside IPv6 is refused: it would be two spellings of one address.
 */
export function readPrefix(text: string): Prefix | undefined {
  const prefix = parsePrefix(text.trim());
  if (prefix?.family === 6 && isMappedIpv4(prefix.words)) return undefined;
  return prefix;
}

/** An address with its prefix length, which must be written out. */
export function readInterfaceAddress(text: string): Prefix | undefined {
  return text.includes("/") ? readPrefix(text) : undefined;
}
