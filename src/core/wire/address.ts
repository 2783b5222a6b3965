/**
 * IPv4 and IPv6 addresses, prefixes and endpoints: numbers and text.
 *
 * An IPv4 address is its numeric value (>>> 0). Address words are four 32-bit
 * words, most significant first, for either family; IPv4 is ::ffff:a.b.c.d
 * (RFC 4291, section 2.5.5.2). `i` is always the index of the first word, so a
 * row's address in a column starts at `row * 4`. Text forms: RFC 4291 in,
 * RFC 5952 out.
 */
import { readU32be, writeU32be } from "./bytes.ts";

/** Columns that address words can lie in; signed ones hold the same 32 bits. */
export type AddressWords = Int32Array | Uint32Array;

/** An address with the number of leading bits that count; host bits are kept. */
export interface Prefix {
  readonly family: 4 | 6;
  /** Four address words. */
  readonly words: Uint32Array;
  /** Bits in the family's own terms: 0 to 32 or 0 to 128. */
  readonly length: number;
}

/** An address and a port. */
export interface Endpoint {
  /** Four address words. */
  readonly words: Uint32Array;
  readonly port: number;
}

const MAPPED = 0xffff;

/** Reads a dotted quad; leading zeros and short forms are refused. */
export function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let address = 0;
  for (let i = 1; i <= 4; i++) {
    const part = match[i];
    const octet = Number(part);
    if (octet > 255 || (part.length > 1 && part[0] === "0")) return undefined;
    address = address * 256 + octet;
  }
  return address;
}

/** Writes an IPv4 address as a dotted quad. */
export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${
    (address >>> 8) & 255
  }.${address & 255}`;
}

/** Reads the groups of one side of a «::», or undefined where one is malformed. */
function parseGroups(text: string): number[] | undefined {
  const groups: number[] = [];
  if (text === "") return groups;
  const parts = text.split(":");
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (i === parts.length - 1 && part.includes(".")) {
      const address = parseIpv4(part);
      if (address === undefined) return undefined;
      groups.push(address >>> 16, address & 0xffff);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}

/** Reads an IPv6 address (RFC 4291, section 2.2) without zone: four words. */
export function parseIpv6(text: string): Uint32Array | undefined {
  if (text.length > 45) return undefined;
  const sides = text.split("::");
  if (sides.length > 2) return undefined;
  if (sides.length === 2 && sides[0].includes(".")) return undefined;
  const head = parseGroups(sides[0]);
  const tail = sides.length === 2 ? parseGroups(sides[1]) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (sides.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return Uint32Array.from(
    [0, 2, 4, 6],
    (g) => ((groups[g] << 16) | groups[g + 1]) >>> 0,
  );
}

/** Writes an IPv6 address as RFC 5952 asks; mapped IPv4 as ::ffff:a.b.c.d. */
export function formatIpv6(words: AddressWords, i = 0): string {
  if (isMappedIpv4(words, i)) return `::ffff:${formatIpv4(words[i + 3])}`;
  const groups: number[] = [];
  for (let w = i; w < i + 4; w++) {
    groups.push(words[w] >>> 16, words[w] & 0xffff);
  }
  let runAt = -1;
  let runLength = 1;
  for (let g = 0; g < 8; g++) {
    let end = g;
    while (end < 8 && groups[end] === 0) end++;
    if (end - g > runLength) {
      runAt = g;
      runLength = end - g;
    }
    if (end > g) g = end;
  }
  const hex = groups.map((group) => group.toString(16));
  if (runAt < 0) return hex.join(":");
  return `${hex.slice(0, runAt).join(":")}::${
    hex.slice(runAt + runLength).join(":")
  }`;
}

/** Whether the words hold an IPv4 address (::ffff:0:0/96). */
export function isMappedIpv4(words: AddressWords, i = 0): boolean {
  return words[i] === 0 && words[i + 1] === 0 && words[i + 2] === MAPPED;
}

/** Puts an IPv4 address into address words. */
export function setMappedIpv4(
  words: AddressWords,
  i: number,
  address: number,
): void {
  words[i] = 0;
  words[i + 1] = 0;
  words[i + 2] = MAPPED;
  words[i + 3] = address;
}

/** Reads an address of either family into words. */
export function parseAddress(text: string): Uint32Array | undefined {
  const address = parseIpv4(text);
  if (address === undefined) return parseIpv6(text);
  return Uint32Array.of(0, 0, MAPPED, address);
}

/** Writes an address of either family; mapped IPv4 as a dotted quad. */
export function formatAddress(words: AddressWords, i = 0): string {
  return isMappedIpv4(words, i)
    ? formatIpv4(words[i + 3])
    : formatIpv6(words, i);
}

/** Whether two addresses in words are the same. */
export function equalWords(
  a: AddressWords,
  i: number,
  b: AddressWords,
  j: number,
): boolean {
  return ((a[i] ^ b[j]) | (a[i + 1] ^ b[j + 1]) | (a[i + 2] ^ b[j + 2]) |
    (a[i + 3] ^ b[j + 3])) === 0;
}

/** Whether the address is multicast: 224.0.0.0/4 or ff00::/8. */
export function isMulticast(words: AddressWords, i = 0): boolean {
  return isMappedIpv4(words, i)
    ? (words[i + 3] >>> 28) === 0xe
    : (words[i] >>> 24) === 0xff;
}

/** Whether the address is 0.0.0.0 or ::. */
export function isUnspecified(words: AddressWords, i = 0): boolean {
  return words[i + 3] === 0 && words[i] === 0 && words[i + 1] === 0 &&
    (words[i + 2] === 0 || words[i + 2] === MAPPED);
}

/** Writes words as the 16 bytes of an IPv6 address. */
export function writeWords(
  b: Uint8Array,
  at: number,
  words: AddressWords,
  i: number,
): void {
  writeU32be(b, at, words[i]);
  writeU32be(b, at + 4, words[i + 1]);
  writeU32be(b, at + 8, words[i + 2]);
  writeU32be(b, at + 12, words[i + 3]);
}

/** Reads the 16 bytes of an IPv6 address into words. */
export function readWords(
  b: Uint8Array,
  at: number,
  words: AddressWords,
  i: number,
): void {
  words[i] = readU32be(b, at);
  words[i + 1] = readU32be(b, at + 4);
  words[i + 2] = readU32be(b, at + 8);
  words[i + 3] = readU32be(b, at + 12);
}

/** Reads a decimal number of at most five digits without sign or leading zeros. */
function parseDecimal(text: string, greatest: number): number | undefined {
  if (!/^(0|[1-9]\d{0,4})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= greatest ? value : undefined;
}

/** Reads «address/bits»; an address alone is a prefix of its whole length. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const words = parseAddress(address);
  if (words === undefined) return undefined;
  const family = address.includes(":") ? 6 : 4;
  const bits = family === 4 ? 32 : 128;
  const length = slash < 0 ? bits : parseDecimal(text.slice(slash + 1), bits);
  return length === undefined ? undefined : { family, words, length };
}

/** Writes a prefix as «address/bits», host bits as they are. */
export function formatPrefix(prefix: Prefix): string {
  const { family, words, length } = prefix;
  return `${family === 4 ? formatIpv4(words[3]) : formatIpv6(words)}/${length}`;
}

/** Whether an address lies in a prefix; families never match each other. */
export function prefixContains(
  prefix: Prefix,
  words: AddressWords,
  i = 0,
): boolean {
  if (isMappedIpv4(words, i) !== (prefix.family === 4)) return false;
  let left = prefix.family === 4 ? prefix.length + 96 : prefix.length;
  for (let w = 0; w < 4 && left > 0; w++, left -= 32) {
    const mask = left >= 32 ? -1 : ~(0xffffffff >>> left);
    if (((prefix.words[w] ^ words[i + w]) & mask) !== 0) return false;
  }
  return true;
}

/** Reads «1.2.3.4:51820» or «[2001:db8::1]:51820». */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(text);
  if (match === null) return undefined;
  const words = match[1] === undefined
    ? parseMapped(match[2])
    : parseIpv6(match[1]);
  const port = parseDecimal(match[3], 65535);
  return words === undefined || port === undefined
    ? undefined
    : { words, port };
}

function parseMapped(text: string): Uint32Array | undefined {
  const address = parseIpv4(text);
  return address === undefined
    ? undefined
    : Uint32Array.of(0, 0, MAPPED, address);
}

/** Writes an address in words and a port, IPv6 in brackets. */
export function formatEndpoint(
  words: AddressWords,
  i: number,
  port: number,
): string {
  return isMappedIpv4(words, i)
    ? `${formatIpv4(words[i + 3])}:${port}`
    : `[${formatIpv6(words, i)}]:${port}`;
}
