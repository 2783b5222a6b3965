/**
 * DNS messages as far as a proxy must understand them (RFC 1035 section 4.1,
 * EDNS RFC 6891): the header, the one question, and where each record's TTL
 * stands, so that an answer can be kept and aged without being rebuilt.
 *
 *     0  id          2    6  answer count      2
 *     2  flags       2    8  authority count   2
 *     4  questions   2    10 additional count  2
 *     12 question: name, type 2, class 2; then records:
 *        name, type 2, class 2, TTL 4, data length 2, data
 */
import { readU16be, readU32be, writeU16be, writeU32be } from "./bytes.ts";

export const DNS_HEADER_LENGTH = 12;
/** The greatest answer that a client without EDNS takes by UDP. */
export const DNS_UDP_LIMIT = 512;

const FLAGS_AT = 2;
const QUESTION_COUNT_AT = 4;
const FLAG_RESPONSE = 0x8000;
const OPCODE_MASK = 0x7800;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
const FLAG_CHECKING_DISABLED = 0x0010;

export const RecordType = {
  A: 1,
  SOA: 6,
  AAAA: 28,
  OPT: 41,
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

/** What a proxy needs to know of a message. */
export interface DnsMessage {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
  readonly responseCode: number;
  /** The question's name in lower case, labels joined by dots, none at the end. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Where the question ends. */
  readonly questionEnd: number;
  /** EDNS: the sender's UDP limit; 0 without EDNS. */
  readonly udpLimit: number;
  /** EDNS: the DO bit. */
  readonly dnssec: boolean;
  /** Seconds that the message may be kept (RFC 2308 for negative answers); -1 not at all. */
  readonly cacheSeconds: number;
  /** Where the TTLs stand that age: all but OPT's. */
  readonly ttlOffsets: readonly number[];
}

/** @returns undefined for anything malformed or without exactly one question. */
export function parseDns(bytes: Uint8Array): DnsMessage | undefined {
  if (bytes.length < DNS_HEADER_LENGTH) return undefined;
  if (readU16be(bytes, QUESTION_COUNT_AT) !== 1) return undefined;
  const name = readName(bytes, DNS_HEADER_LENGTH);
  if (name === undefined || name.end + 4 > bytes.length) return undefined;
  const flags = readU16be(bytes, FLAGS_AT);
  const records = readRecords(bytes, name.end + 4);
  if (records === undefined) return undefined;
  const responseCode = flags & 0xf;
  return {
    id: readU16be(bytes, 0),
    response: (flags & FLAG_RESPONSE) !== 0,
    opcode: (flags & OPCODE_MASK) >>> 11,
    truncated: (flags & FLAG_TRUNCATED) !== 0,
    recursionDesired: (flags & FLAG_RECURSION_DESIRED) !== 0,
    checkingDisabled: (flags & FLAG_CHECKING_DISABLED) !== 0,
    responseCode,
    name: name.text,
    type: readU16be(bytes, name.end),
    class: readU16be(bytes, name.end + 2),
    questionEnd: name.end + 4,
    udpLimit: records.udpLimit,
    dnssec: records.dnssec,
    cacheSeconds: cacheSeconds(responseCode, records),
    ttlOffsets: records.ttlOffsets,
  };
}

/** Writes another id into a message. */
export function setDnsId(bytes: Uint8Array, id: number): void {
  writeU16be(bytes, 0, id);
}

/** Takes `seconds` from every TTL, down to 0. */
export function ageDns(
  bytes: Uint8Array,
  offsets: readonly number[],
  seconds: number,
): void {
  for (const at of offsets) {
    writeU32be(bytes, at, Math.max(0, readU32be(bytes, at) - seconds));
  }
}

/** An answer without records to a query: an error, or «truncated: ask by TCP». */
export function emptyDnsAnswer(
  query: Uint8Array,
  message: DnsMessage,
  what: { responseCode: number; truncated: boolean },
): Uint8Array {
  const answer = query.slice(0, message.questionEnd);
  const flags = FLAG_RESPONSE | message.opcode << 11 |
    (what.truncated ? FLAG_TRUNCATED : 0) |
    (message.recursionDesired ? FLAG_RECURSION_DESIRED : 0) |
    FLAG_RECURSION_AVAILABLE |
    (message.checkingDisabled ? FLAG_CHECKING_DISABLED : 0) |
    what.responseCode;
  writeU16be(answer, FLAGS_AT, flags);
  answer.fill(0, QUESTION_COUNT_AT + 2, DNS_HEADER_LENGTH);
  return answer;
}

interface Records {
  readonly ttlOffsets: readonly number[];
  readonly leastTtl: number;
  readonly answers: number;
  /** From the authority's SOA: the lesser of its TTL and its MINIMUM; -1 without. */
  readonly negativeTtl: number;
  readonly udpLimit: number;
  readonly dnssec: boolean;
}

function cacheSeconds(responseCode: number, records: Records): number {
  const positive = responseCode === ResponseCode.NoError && records.answers > 0;
  if (positive) return records.leastTtl;
  const negative = responseCode === ResponseCode.NameError ||
    responseCode === ResponseCode.NoError;
  return negative ? records.negativeTtl : -1;
}

function readRecords(bytes: Uint8Array, start: number): Records | undefined {
  const answers = readU16be(bytes, 6);
  const count = answers + readU16be(bytes, 8) + readU16be(bytes, 10);
  const ttlOffsets: number[] = [];
  let leastTtl = Infinity, negativeTtl = -1, udpLimit = 0, dnssec = false;
  let at = start;
  for (let i = 0; i < count; i++) {
    const nameEnd = skipName(bytes, at);
    if (nameEnd < 0 || nameEnd + 10 > bytes.length) return undefined;
    const type = readU16be(bytes, nameEnd);
    const ttlAt = nameEnd + 4;
    const dataAt = nameEnd + 10;
    const dataEnd = dataAt + readU16be(bytes, nameEnd + 8);
    if (dataEnd > bytes.length) return undefined;
    if (type === RecordType.OPT) {
      udpLimit = readU16be(bytes, nameEnd + 2);
      dnssec = (bytes[ttlAt + 2] & 0x80) !== 0;
    } else {
      const ttl = readU32be(bytes, ttlAt);
      ttlOffsets.push(ttlAt);
      // RFC 2181 section 8: a TTL with the top bit set counts as 0.
      leastTtl = Math.min(leastTtl, ttl > 0x7fffffff ? 0 : ttl);
      if (type === RecordType.SOA && i >= answers && dataEnd - dataAt >= 22) {
        negativeTtl = Math.min(ttl, readU32be(bytes, dataEnd - 4));
      }
    }
    at = dataEnd;
  }
  return { ttlOffsets, leastTtl, answers, negativeTtl, udpLimit, dnssec };
}

/** An uncompressed name, as a question has it. */
function readName(
  bytes: Uint8Array,
  at: number,
): { text: string; end: number } | undefined {
  const labels: string[] = [];
  for (let length = 0; at < bytes.length;) {
    const size = bytes[at];
    if (size === 0) return { text: labels.join("."), end: at + 1 };
    length += size + 1;
    if (size > 63 || length > 254 || at + 1 + size > bytes.length) {
      return undefined;
    }
    labels.push(labelText(bytes, at + 1, size));
    at += 1 + size;
  }
  return undefined;
}

/** A label in lower case; bytes that are no plain text are written \DDD. */
function labelText(bytes: Uint8Array, at: number, size: number): string {
  let text = "";
  for (let i = at; i < at + size; i++) {
    const byte = bytes[i] >= 65 && bytes[i] <= 90 ? bytes[i] + 32 : bytes[i];
    text += byte > 32 && byte < 127 && byte !== 46 && byte !== 92
      ? String.fromCharCode(byte)
      : `\\${String(byte).padStart(3, "0")}`;
  }
  return text;
}

/** @returns where a name ends that may be compressed; -1 where it is malformed. */
function skipName(bytes: Uint8Array, at: number): number {
  while (at < bytes.length) {
    const size = bytes[at];
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2;
    if (size > 63) return -1;
    at += 1 + size;
  }
  return -1;
}
