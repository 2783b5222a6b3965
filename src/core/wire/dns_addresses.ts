/**
 * The addresses that a DNS answer gives for the name that was asked for: the
 * records A (RFC 1035 section 3.4.1) and AAAA (RFC 3596) of that name or of one
 * that its aliases (CNAME, RFC 1034 section 3.6.2) lead to.
 *
 * Names may be compressed (RFC 1035 section 4.1.4): a pointer must lead back,
 * so that no message, however made up, is read in circles.
 */
import { readWords, setMappedIpv4 } from "./address.ts";
import { readU16be, readU32be } from "./bytes.ts";
import {
  ANSWER_COUNT_AT,
  anyNameEnd,
  DNS_HEADER_LENGTH,
  labelText,
  parseDns,
  readTtl,
  RecordType,
  ResponseCode,
} from "./dns.ts";

/** One address. */
export interface DnsAddress {
  /** Four address words. */
  readonly words: Uint32Array;
  /** The least TTL of the record and of the aliases that lead to it. */
  readonly seconds: number;
}

/** What an answer says of a name. */
export interface DnsAddresses {
  /** The name asked for: lower case, no dot at the end. */
  readonly name: string;
  readonly addresses: readonly DnsAddress[];
}

/** More are not read: no name has that many. */
const MOST_ADDRESSES = 64;
const MOST_ALIASES = 16;
const CLASS_INTERNET = 1;

interface NameRecord {
  readonly name: string;
  readonly seconds: number;
}

/** @returns undefined for what is no answer, an error or malformed. */
export function readDnsAddresses(
  bytes: Uint8Array,
): DnsAddresses | undefined {
  const message = parseDns(bytes);
  if (message === undefined || !message.response) return undefined;
  if (message.responseCode !== ResponseCode.NoError) return undefined;
  if (message.class !== CLASS_INTERNET) return undefined;
  const start = DNS_HEADER_LENGTH + message.question.length;
  const { aliases, hosts } = readAnswers(bytes, start);
  const chain = followAliases(message.name, aliases);
  const addresses: DnsAddress[] = [];
  for (const { name, seconds, words } of hosts) {
    const least = chain.get(name);
    if (least === undefined) continue;
    addresses.push({ words, seconds: Math.min(seconds, least) });
  }
  return { name: message.name, addresses };
}

/** @param at where the answers begin; the message has passed parseDns. */
function readAnswers(bytes: Uint8Array, at: number): {
  aliases: Map<string, NameRecord>;
  hosts: (NameRecord & { words: Uint32Array })[];
} {
  const aliases = new Map<string, NameRecord>();
  const hosts: (NameRecord & { words: Uint32Array })[] = [];
  const count = readU16be(bytes, ANSWER_COUNT_AT);
  for (let i = 0; i < count; i++) {
    const nameEnd = anyNameEnd(bytes, at);
    const dataAt = nameEnd + 10;
    const length = readU16be(bytes, nameEnd + 8);
    const type = readU16be(bytes, nameEnd);
    const seconds = readTtl(bytes, nameEnd + 4);
    const name = readU16be(bytes, nameEnd + 2) === CLASS_INTERNET
      ? expandName(bytes, at)
      : undefined;
    at = dataAt + length;
    if (name === undefined) continue;
    if (type === RecordType.CNAME && aliases.size < MOST_ALIASES) {
      const target = expandName(bytes, dataAt);
      if (target !== undefined) aliases.set(name, { name: target, seconds });
    }
    const words = readAddress(bytes, dataAt, { type, length });
    if (words !== undefined && hosts.length < MOST_ADDRESSES) {
      hosts.push({ name, seconds, words });
    }
  }
  return { aliases, hosts };
}

function readAddress(
  bytes: Uint8Array,
  at: number,
  { type, length }: { type: number; length: number },
): Uint32Array | undefined {
  const words = new Uint32Array(4);
  if (type === RecordType.A && length === 4) {
    setMappedIpv4(words, 0, readU32be(bytes, at));
    return words;
  }
  if (type === RecordType.AAAA && length === 16) {
    readWords(bytes, at, words, 0);
    return words;
  }
  return undefined;
}

/** The name and all that its aliases lead to, each with the least TTL on the way. */
function followAliases(
  name: string,
  aliases: ReadonlyMap<string, NameRecord>,
): Map<string, number> {
  const chain = new Map<string, number>();
  let at = name;
  let least = 0x7fffffff;
  while (!chain.has(at)) {
    chain.set(at, least);
    const alias = aliases.get(at);
    if (alias === undefined) break;
    least = Math.min(least, alias.seconds);
    at = alias.name;
  }
  return chain;
}

/** @returns undefined where the name leaves the message, points ahead or is too long. */
function expandName(bytes: Uint8Array, start: number): string | undefined {
  let text = "";
  let lowest = start;
  for (let at = start; at < bytes.length;) {
    const size = bytes[at];
    if (size === 0) return text;
    if (size >= 0xc0) {
      if (at + 1 >= bytes.length) return undefined;
      const target = readU16be(bytes, at) & 0x3fff;
      if (target >= lowest) return undefined;
      lowest = target;
      at = target;
      continue;
    }
    const end = at + 1 + size;
    if (size > 63 || end > bytes.length) return undefined;
    text += (text === "" ? "" : ".") + labelText(bytes, at + 1, end);
    if (text.length > 1024) return undefined;
    at = end;
  }
  return undefined;
}
