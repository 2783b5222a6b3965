/**
 * DNS messages for tests, written and read by dns-packet, with which our own
 * parser and emitter have nothing in common.
 */
import { decode, encode } from "dns-packet";

/** A record as dns-packet has it. */
export interface TestRecord {
  readonly name: string;
  readonly type: string;
  readonly ttl?: number;
  readonly class?: string;
  readonly data?: unknown;
}

/** EDNS of a test message. */
export interface TestEdns {
  readonly udpLimit: number;
  readonly dnssec?: boolean;
  /** Options by code. */
  readonly options?: readonly {
    readonly code: number;
    readonly data: Uint8Array;
  }[];
}

/** A message as dns-packet reads it. */
export interface TestMessage {
  readonly id: number;
  readonly type: "query" | "response";
  readonly flags: number;
  readonly flag_aa: boolean;
  readonly flag_tc: boolean;
  readonly flag_rd: boolean;
  readonly flag_ra: boolean;
  readonly flag_ad: boolean;
  readonly flag_cd: boolean;
  readonly opcode: string;
  readonly rcode: string;
  readonly questions: readonly TestRecord[];
  readonly answers: readonly TestRecord[];
  readonly authorities: readonly TestRecord[];
  readonly additionals:
    readonly (TestRecord & { udpPayloadSize: number; flag_do: boolean })[];
}

/** A query to build; a plain one for an A record unless it says more. */
export interface QueryShape {
  readonly name: string;
  readonly type?: string;
  readonly class?: string;
  readonly id?: number;
  /** The flags; «recursion desired» where left out. */
  readonly flags?: number;
  readonly edns?: TestEdns;
}

/** An answer to build. */
export interface AnswerShape {
  /** 0x8180, «response, recursion desired and available», where left out. */
  readonly flags?: number;
  readonly code?: number;
  readonly answers?: readonly TestRecord[];
  readonly authorities?: readonly TestRecord[];
  readonly additionals?: readonly TestRecord[];
  readonly edns?: TestEdns;
}

const RECURSION_DESIRED = 0x0100;

/** Builds a query. */
export function buildQuery(shape: QueryShape): Uint8Array {
  const { name, type = "A", class: inClass = "IN", edns } = shape;
  const flags = shape.flags ?? RECURSION_DESIRED;
  return fresh(
    encode({
      type: "query",
      id: shape.id ?? 1,
      flags,
      questions: [{ type, class: inClass, name }],
      additionals: edns === undefined ? [] : [optRecord(edns)],
    } as never),
    0,
  );
}

/** Builds the answer to a query. */
export function buildAnswer(
  query: Uint8Array,
  shape: AnswerShape = {},
): Uint8Array {
  const { id, questions } = readMessage(query);
  const { answers = [], authorities = [], additionals = [], edns } = shape;
  return fresh(
    encode({
      type: "response",
      id,
      flags: shape.flags ?? 0x8180,
      questions,
      answers,
      authorities,
      additionals: edns === undefined
        ? additionals
        : [...additionals, optRecord(edns)],
    } as never),
    shape.code ?? 0,
  );
}

/** Reads a message. */
export function readMessage(bytes: Uint8Array): TestMessage {
  return decode(bytes as never) as unknown as TestMessage;
}

/** An SOA record, as negative answers have one. */
export function soaRecord(
  name: string,
  times: { ttl: number; minimum: number },
): TestRecord {
  const { ttl, minimum } = times;
  const data = {
    mname: `ns.${name}`,
    rname: `root.${name}`,
    serial: 7,
    refresh: 3600,
    retry: 600,
    expire: 86400,
    minimum,
  };
  return { name, type: "SOA", ttl, data };
}

/** An A record. */
export function aRecord(name: string, ttl: number, data: string): TestRecord {
  return { name, type: "A", ttl, data };
}

function optRecord({ udpLimit, dnssec, options = [] }: TestEdns): unknown {
  return {
    type: "OPT",
    name: ".",
    udpPayloadSize: udpLimit,
    flags: dnssec ? 0x8000 : 0,
    options: options.map(({ code, data }) => ({ code, data })),
  };
}

function fresh(encoded: Uint8Array, code: number): Uint8Array {
  const bytes = Uint8Array.from(encoded);
  bytes[3] |= code; // the library writes no response code
  return bytes;
}
