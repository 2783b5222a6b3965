/**
 * What leak probes and their echo peer say to each other. A probe is known by
 * its run (16 hexadecimal digits, drawn for each run) and its number in it:
 *
 *     UDP, TCP   "sluice-leaktest RUN NUMBER" and blanks, a line
 *     DNS        question TXT NUMBER.RUN.sluice-leaktest
 *     ping       the bytes "sl", RUN as 8 bytes, NUMBER as one, repeated
 *
 * Answers to the first two are a line of JSON: the source that was seen. A
 * number of 0 asks for the report: all that was seen of the run. Questions are
 * longer than answers, so that nobody can have others flooded by the peer.
 */
import {
  DNS_HEADER_LENGTH,
  type DnsMessage,
  parseDns,
} from "../core/wire/dns.ts";
import { emitDnsAnswer } from "../core/wire/dns_emit.ts";
import { emitQuestion } from "./client_question.ts";

/** Which probe. */
export interface ProbeName {
  /** 16 hexadecimal digits. */
  readonly run: string;
  /** 1 to 255; 0 asks for the report. */
  readonly number: number;
}

/** One probe as it arrived. */
export interface Arrival {
  readonly number: number;
  /** The source address that the peer saw, as text without its port. */
  readonly source: string;
}

/** Asks for the report. */
export const REPORT = 0;
/** Least length of a question by UDP in bytes; no answer is longer. */
export const QUESTION_LENGTH = 1200;

const MAGIC = "sluice-leaktest";
const TEXT = new RegExp(`^${MAGIC} ([0-9a-f]{16}) (\\d{1,3})[ \\n]`);
const NAME = new RegExp(`^(\\d{1,3})\\.([0-9a-f]{16})\\.${MAGIC}$`);
const PING_MAGIC = [0x73, 0x6c];
const PING_LENGTH = 11;
const TTL = 0;
/** RFC 1035 section 3.3.14. */
const TXT = 16;

/** A fresh run. */
export function newRun(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(8)));
}

/** A question as text, at least `length` bytes long with its newline. */
export function formatQuestion(
  { run, number }: ProbeName,
  length = QUESTION_LENGTH,
): string {
  return `${MAGIC} ${run} ${number} `.padEnd(length - 1) + "\n";
}

/** Reads a question; undefined where it is none. */
export function parseQuestion(text: string): ProbeName | undefined {
  const [, run, digits] = TEXT.exec(text) ?? [];
  if (run === undefined || Number(digits) > 255) return undefined;
  return { run, number: Number(digits) };
}

/** An answer: what was seen. */
export function formatArrivals(arrivals: readonly Arrival[]): string {
  return JSON.stringify(
    arrivals.map(({ number, source }) => [number, source]),
  ) + "\n";
}

/** Reads an answer; empty where it is none. */
export function parseArrivals(text: string): Arrival[] {
  try {
    const list: unknown = JSON.parse(text);
    if (!Array.isArray(list)) return [];
    return list.flatMap((item) =>
      Array.isArray(item) && Number.isInteger(item[0]) &&
        typeof item[1] === "string"
        ? [{ number: item[0], source: item[1] }]
        : []
    );
  } catch {
    return [];
  }
}

/** The pattern for `ping -p`, in hexadecimal. */
export function pingPattern({ run, number }: ProbeName): string {
  return toHex(Uint8Array.from(PING_MAGIC)) + run +
    toHex(Uint8Array.of(number));
}

/** Finds the pattern in what a ping carries. */
export function findPing(data: Uint8Array): ProbeName | undefined {
  const last = data.length - PING_LENGTH;
  for (let at = 0; at <= last; at++) {
    if (PING_MAGIC.some((byte, i) => data[at + i] !== byte)) continue;
    // Twice in a row, so that random data is not taken for one.
    const again = at + PING_LENGTH;
    if (again <= last && data[again] !== PING_MAGIC[0]) continue;
    return {
      run: toHex(data.subarray(at + 2, at + 10)),
      number: data[at + 10],
    };
  }
  return undefined;
}

/** A DNS question that is a probe. */
export function dnsProbe({ run, number }: ProbeName): Uint8Array<ArrayBuffer> {
  return emitQuestion([String(number), run, MAGIC], TXT);
}

/** Reads a DNS question; undefined where it is no probe. */
export function parseDnsProbe(
  bytes: Uint8Array,
): { readonly probe: ProbeName; readonly message: DnsMessage } | undefined {
  const message = parseDns(bytes);
  if (message === undefined || message.response) return undefined;
  const [, digits, run] = NAME.exec(message.name) ?? [];
  if (run === undefined || Number(digits) > 255) return undefined;
  return { probe: { run, number: Number(digits) }, message };
}

/** The answer to a DNS probe: the source as TXT. */
export function dnsAnswer(message: DnsMessage, source: string): Uint8Array {
  const text = new TextEncoder().encode(source);
  return emitDnsAnswer(message, {
    responseCode: 0,
    answers: [{
      nameAt: DNS_HEADER_LENGTH,
      type: TXT,
      ttl: TTL,
      data: Uint8Array.of(text.length, ...text),
    }],
  });
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
