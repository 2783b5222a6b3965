/**
 * The header that ICMP (RFC 792) and ICMPv6 (RFC 4443) share. What differs, the
 * types and what the checksum covers, is in icmp.ts and icmpv6.ts.
 *
 * ```
 * |     Type      |     Code      |           Checksum            |
 * |  echo: Identifier             |  echo: Sequence Number        |
 * |  error: a word that each type uses in its way                 |
 * ```
 */
import { DropReason } from "../columns/drop_reason.ts";
import { readU16be, readU32be, writeU16be } from "./bytes.ts";
import { adjust16 } from "./checksum.ts";

/** Bytes of the header with the word that each type uses in its way. */
export const HEADER_LENGTH = 8;
export const TYPE_AT = 0;
export const CODE_AT = 1;
export const CHECKSUM_AT = 2;
export const IDENTIFIER_AT = 4;
export const SEQUENCE_AT = 6;
/** The 32-bit word of an error; in ICMP the low 16 bits of «fragmentation needed» are an MTU. */
export const EXTRA_AT = 4;

/** Checks the length alone; the checksum is the business of verifyTransport. */
export function validate(
  _b: Uint8Array,
  _at: number,
  length: number,
): DropReason {
  return length < HEADER_LENGTH ? DropReason.TooShort : DropReason.None;
}

/** The message's type. */
export function type(b: Uint8Array, at: number): number {
  return b[at + TYPE_AT];
}

/** The message's code. */
export function code(b: Uint8Array, at: number): number {
  return b[at + CODE_AT];
}

/** The checksum that the header carries. */
export function headerChecksum(b: Uint8Array, at: number): number {
  return readU16be(b, at + CHECKSUM_AT);
}

/** Of an echo: the identifier. */
export function identifier(b: Uint8Array, at: number): number {
  return readU16be(b, at + IDENTIFIER_AT);
}

/** Of an echo: the sequence number. */
export function sequence(b: Uint8Array, at: number): number {
  return readU16be(b, at + SEQUENCE_AT);
}

/** Of an error: the 32-bit word. */
export function extra(b: Uint8Array, at: number): number {
  return readU32be(b, at + EXTRA_AT);
}

/** Changes an echo's identifier and keeps the checksum right. */
export function setIdentifier(b: Uint8Array, at: number, value: number): void {
  const adjusted = adjust16(headerChecksum(b, at), identifier(b, at), value);
  writeU16be(b, at + CHECKSUM_AT, adjusted);
  writeU16be(b, at + IDENTIFIER_AT, value);
}

/** Changes type and code and keeps the checksum right. */
export function setType(
  b: Uint8Array,
  at: number,
  type: number,
  code: number,
): void {
  const adjusted = adjust16(
    headerChecksum(b, at),
    readU16be(b, at),
    (type << 8) | code,
  );
  writeU16be(b, at + CHECKSUM_AT, adjusted);
  b[at + TYPE_AT] = type;
  b[at + CODE_AT] = code;
}
