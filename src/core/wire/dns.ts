/**
 * DNS messages as far as a proxy must understand them (RFC 1035 section 4.1,
 * EDNS RFC 6891): the header, the one question, and where each record's TTL
 * stands, so that an answer can be kept and aged without being rebuilt.
 * `dns_emit.ts` has the other direction.
 *
 *     0  id          2    6  answer count      2
 *     2  flags       2    8  authority count   2
 *     4  questions   2    10 additional count  2
 *     12 question: name, type 2, class 2; then records:
 *        name, type 2, class 2, TTL 4, data length 2, data
 *
 *     flags  QR 1 | opcode 4 | AA 1 | TC 1 | RD 1 | RA 1 | 0 | AD 1 | CD 1 | code 4
 *     OPT    0 | 41 | UDP limit | code high 1, version 1, DO and 15 zeros | options
 */
import { readU16be, readU32be } from "./bytes.ts";

export const DNS_HEADER_LENGTH = 12;
export const FLAGS_AT = 2;
export const QUESTION_COUNT_AT = 4;
export const ANSWER_COUNT_AT = 6;
export const AUTHORITY_COUNT_AT = 8;
export const ADDITIONAL_COUNT_AT = 10;
/** Type and class behind a question's name. */
export const QUESTION_TAIL = 4;

/** Bits of the flags. */
export const DnsFlag = {
  Response: 0x8000,
  Authoritative: 0x0400,
  Truncated: 0x0200,
  RecursionDesired: 0x0100,
  RecursionAvailable: 0x0080,
  AuthenticData: 0x0020,
  CheckingDisabled: 0x0010,
} as const;

/** What a query asks for by flags: such answers differ. */
const REQUEST_FLAGS = DnsFlag.RecursionDesired | DnsFlag.AuthenticData |
  DnsFlag.CheckingDisabled;
const OPCODE_MASK = 0x7800;
const CODE_MASK = 0x000f;

/** Types of records and questions. */
export const RecordType = {
  A: 1,
  CNAME: 5,
  SOA: 6,
  AAAA: 28,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

/** Response codes (RFC 1035 section 4.1.1). */
export const ResponseCode = {
  NoError: 0,
  FormatError: 1,
  ServerFailure: 2,
  NameError: 3,
  NotImplemented: 4,
  Refused: 5,
} as const;

/** What an OPT record says (RFC 6891 section 6.1). */
export interface Edns {
  /** The largest datagram that the sender takes, in bytes. */
  readonly udpLimit: number;
  /** The DO bit: DNSSEC records are wanted. */
  readonly dnssec: boolean;
}

/** What a proxy needs to know of a message. */
export interface DnsMessage {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  readonly truncated: boolean;
  /** The bits RD, AD and CD of the flags. */
  readonly requestFlags: number;
  readonly responseCode: number;
  /** The question's name in lower case, labels joined by dots, none at the end. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** A copy of the question as it came: name, type, class. */
  readonly question: Uint8Array;
  /** Undefined where the sender has no EDNS. */
  readonly edns: Edns | undefined;
  /** Seconds that the answer may be kept (RFC 2308 for negative ones); -1 not at all. */
  readonly cacheSeconds: number;
  /** Where the TTLs stand that age: all but OPT's. */
  readonly ttlOffsets: readonly number[];
}

/** @returns undefined for anything malformed or without exactly one question. */
export function parseDns(bytes: Uint8Array): DnsMessage | undefined {
  if (bytes.length < DNS_HEADER_LENGTH) return undefined;
  if (readU16be(bytes, QUESTION_COUNT_AT) !== 1) return undefined;
  const nameEnd = plainNameEnd(bytes, DNS_HEADER_LENGTH);
  const questionEnd = nameEnd + QUESTION_TAIL;
  if (nameEnd < 0 || questionEnd > bytes.length) return undefined;
  const records = readRecords(bytes, questionEnd);
  if (records === undefined) return undefined;
  const flags = readU16be(bytes, FLAGS_AT);
  return {
    id: readU16be(bytes, 0),
    response: (flags & DnsFlag.Response) !== 0,
    opcode: (flags & OPCODE_MASK) >>> 11,
    truncated: (flags & DnsFlag.Truncated) !== 0,
    requestFlags: flags & REQUEST_FLAGS,
    responseCode: flags & CODE_MASK,
    name: nameText(bytes, DNS_HEADER_LENGTH),
    type: readU16be(bytes, nameEnd),
    class: readU16be(bytes, nameEnd + 2),
    question: bytes.slice(DNS_HEADER_LENGTH, questionEnd),
    edns: records.edns,
    cacheSeconds: cacheSeconds(flags, records),
    ttlOffsets: records.ttlOffsets,
  };
}

/**
 * Whether bytes begin as the answer to a query does: its id, its question in
 * whatever spelling. The records may still be malformed.
 * @param query one that {@linkcode parseDns} takes.
 */
export function isAnswerTo(bytes: Uint8Array, query: Uint8Array): boolean {
  const nameEnd = plainNameEnd(query, DNS_HEADER_LENGTH);
  const end = nameEnd + QUESTION_TAIL;
  if (bytes.length < end || readU16be(bytes, 0) !== readU16be(query, 0)) {
    return false;
  }
  const flags = readU16be(bytes, FLAGS_AT);
  if ((flags & DnsFlag.Response) === 0) return false;
  if ((flags ^ readU16be(query, FLAGS_AT)) & OPCODE_MASK) return false;
  if (readU16be(bytes, QUESTION_COUNT_AT) !== 1) return false;
  for (let at = DNS_HEADER_LENGTH; at < nameEnd; at++) {
    if (lowerCase(bytes[at]) !== lowerCase(query[at])) return false;
  }
  return readU32be(bytes, nameEnd) === readU32be(query, nameEnd);
}

interface Records {
  readonly answers: number;
  readonly ttlOffsets: readonly number[];
  readonly leastTtl: number;
  /** From the authority's SOA: the lesser of its TTL and its MINIMUM; -1 without. */
  readonly negativeTtl: number;
  readonly edns: Edns | undefined;
}

/** RFC 1035 section 7.4; RFC 2308 section 5: without an SOA a «no» is not kept. */
function cacheSeconds(flags: number, records: Records): number {
  const code = flags & CODE_MASK;
  if ((flags & DnsFlag.Truncated) !== 0) return -1;
  if (code !== ResponseCode.NoError && code !== ResponseCode.NameError) {
    return -1;
  }
  const { leastTtl, negativeTtl } = records;
  // With an SOA even records in the answer may only lead to a «no»: by CNAME.
  if (negativeTtl >= 0) return Math.min(leastTtl, negativeTtl);
  const positive = code === ResponseCode.NoError && records.answers > 0;
  return positive ? leastTtl : -1;
}

/** Bytes of an SOA's data behind its two names, MINIMUM at their end; names have 1 at least. */
const SOA_LEAST_LENGTH = 2 + 20;

function readRecords(bytes: Uint8Array, start: number): Records | undefined {
  const answers = readU16be(bytes, ANSWER_COUNT_AT);
  const authorityEnd = answers + readU16be(bytes, AUTHORITY_COUNT_AT);
  const count = authorityEnd + readU16be(bytes, ADDITIONAL_COUNT_AT);
  const ttlOffsets: number[] = [];
  let leastTtl = 0x7fffffff, negativeTtl = -1;
  let edns: Edns | undefined;
  let at = start;
  for (let i = 0; i < count; i++) {
    const nameEnd = anyNameEnd(bytes, at);
    if (nameEnd < 0 || nameEnd + 10 > bytes.length) return undefined;
    const type = readU16be(bytes, nameEnd);
    const ttlAt = nameEnd + 4;
    const dataAt = nameEnd + 10;
    const dataEnd = dataAt + readU16be(bytes, nameEnd + 8);
    if (dataEnd > bytes.length) return undefined;
    if (type === RecordType.OPT && i >= authorityEnd) {
      edns = {
        udpLimit: readU16be(bytes, nameEnd + 2),
        dnssec: (bytes[ttlAt + 2] & 0x80) !== 0,
      };
    } else {
      ttlOffsets.push(ttlAt);
      const ttl = readTtl(bytes, ttlAt);
      leastTtl = Math.min(leastTtl, ttl);
      const isAuthority = i >= answers && i < authorityEnd;
      if (
        type === RecordType.SOA && isAuthority &&
        dataEnd - dataAt >= SOA_LEAST_LENGTH
      ) {
        negativeTtl = Math.min(ttl, readTtl(bytes, dataEnd - 4));
      }
    }
    at = dataEnd;
  }
  return { answers, ttlOffsets, leastTtl, negativeTtl, edns };
}

/** RFC 2181 section 8: a TTL with the top bit set counts as 0. */
export function readTtl(bytes: Uint8Array, at: number): number {
  const ttl = readU32be(bytes, at);
  return ttl > 0x7fffffff ? 0 : ttl;
}

/** @returns where an uncompressed name ends; -1 where it is malformed or compressed. */
function plainNameEnd(bytes: Uint8Array, start: number): number {
  for (let at = start; at < bytes.length;) {
    const size = bytes[at];
    at += 1 + size;
    if (size > 63 || at - start > 255 || at > bytes.length) return -1;
    if (size === 0) return at;
  }
  return -1;
}

/** @returns where a name ends that may be compressed; -1 where it is malformed. */
export function anyNameEnd(bytes: Uint8Array, start: number): number {
  for (let at = start; at < bytes.length;) {
    const size = bytes[at];
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2;
    if (size > 63) return -1;
    at += 1 + size;
  }
  return -1;
}

/** A whole, uncompressed name. */
function nameText(bytes: Uint8Array, start: number): string {
  let text = "";
  for (let at = start; bytes[at] !== 0;) {
    if (text !== "") text += ".";
    const end = at + 1 + bytes[at];
    text += labelText(bytes, at + 1, end);
    at = end;
  }
  return text;
}

/** A label in lower case. Bytes that are no plain text are written \DDD. */
export function labelText(
  bytes: Uint8Array,
  start: number,
  end: number,
): string {
  let text = "";
  for (let at = start; at < end; at++) {
    const byte = lowerCase(bytes[at]);
    text += byte > 32 && byte < 127 && byte !== 46 && byte !== 92
      ? String.fromCharCode(byte)
      : `\\${String(byte).padStart(3, "0")}`;
  }
  return text;
}

function lowerCase(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}
