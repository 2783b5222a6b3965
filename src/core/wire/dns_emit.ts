/**
 * DNS messages of our own: queries to upstreams, answers that need none, and
 * answers made to fit another client. See `dns.ts` for the format.
 *
 * EDNS options go from hop to hop (RFC 6891 section 6.1.1): a query to an
 * upstream has an OPT record of ours where the client's has one, never the
 * client's own.
 */
import { readU32be, writeU16be, writeU32be } from "./bytes.ts";
import {
  ADDITIONAL_COUNT_AT,
  ANSWER_COUNT_AT,
  AUTHORITY_COUNT_AT,
  DNS_HEADER_LENGTH,
  DnsFlag,
  type DnsMessage,
  FLAGS_AT,
  QUESTION_COUNT_AT,
  RecordType,
} from "./dns.ts";

/** The largest datagram that we send or take: no fragments (RFC 9715). */
export const EDNS_UDP_LIMIT = 1232;

/** A record to write. */
export interface DnsRecord {
  /** Where its name stands in the message; the question's is at 12. */
  readonly nameAt: number;
  readonly type: number;
  /** In seconds. */
  readonly ttl: number;
  readonly data: Uint8Array;
}

/** What an answer says. */
export interface DnsAnswer {
  readonly responseCode: number;
  readonly truncated?: boolean;
  readonly authoritative?: boolean;
  readonly answers?: readonly DnsRecord[];
  readonly authority?: readonly DnsRecord[];
}

const CLASS_IN = 1;
const POINTER = 0xc000;
const OPT_LENGTH = 11;
const DNSSEC_OK = 0x8000;

/** A client's query as it goes to an upstream. */
export function emitDnsQuery(query: DnsMessage, id: number): Uint8Array {
  const bytes = start(query, query.requestFlags, 0);
  writeU16be(bytes, 0, id);
  return bytes;
}

/** An answer to a client's query. */
export function emitDnsAnswer(
  query: DnsMessage,
  answer: DnsAnswer,
): Uint8Array {
  const { answers = [], authority = [] } = answer;
  const flags = DnsFlag.Response | query.opcode << 11 |
    (answer.truncated ? DnsFlag.Truncated : 0) |
    (answer.authoritative ? DnsFlag.Authoritative : 0) |
    (query.requestFlags & ~DnsFlag.AuthenticData) |
    DnsFlag.RecursionAvailable | answer.responseCode;
  const records = [...answers, ...authority];
  const length = records.reduce((sum, { data }) => sum + 12 + data.length, 0);
  const bytes = start(query, flags, length);
  writeU16be(bytes, ANSWER_COUNT_AT, answers.length);
  writeU16be(bytes, AUTHORITY_COUNT_AT, authority.length);
  let at = DNS_HEADER_LENGTH + query.question.length;
  for (const { nameAt, type, ttl, data } of records) {
    writeU16be(bytes, at, POINTER | nameAt);
    writeU16be(bytes, at + 2, type);
    writeU16be(bytes, at + 4, CLASS_IN);
    writeU32be(bytes, at + 6, ttl);
    writeU16be(bytes, at + 10, data.length);
    bytes.set(data, at + 12);
    at += 12 + data.length;
  }
  return bytes;
}

/** Gives an answer the id and the spelling of another query with the same question. */
export function readdressDns(answer: Uint8Array, query: DnsMessage): void {
  writeU16be(answer, 0, query.id);
  answer.set(query.question, DNS_HEADER_LENGTH);
}

/** Takes `seconds` from every TTL, down to 0. */
export function ageDns(
  bytes: Uint8Array,
  offsets: ArrayLike<number> & Iterable<number>,
  seconds: number,
): void {
  for (const at of offsets) {
    writeU32be(bytes, at, Math.max(0, readU32be(bytes, at) - seconds));
  }
}

/** Header and question, room for records, and OPT where the query has one. */
function start(query: DnsMessage, flags: number, room: number): Uint8Array {
  const { question, edns } = query;
  const optAt = DNS_HEADER_LENGTH + question.length + room;
  const bytes = new Uint8Array(optAt + (edns === undefined ? 0 : OPT_LENGTH));
  writeU16be(bytes, 0, query.id);
  writeU16be(bytes, FLAGS_AT, flags);
  writeU16be(bytes, QUESTION_COUNT_AT, 1);
  bytes.set(question, DNS_HEADER_LENGTH);
  if (edns !== undefined) {
    writeU16be(bytes, ADDITIONAL_COUNT_AT, 1);
    writeU16be(bytes, optAt + 1, RecordType.OPT);
    writeU16be(bytes, optAt + 3, EDNS_UDP_LIMIT);
    writeU16be(bytes, optAt + 7, edns.dnssec ? DNSSEC_OK : 0);
  }
  return bytes;
}
