/**
 * ICMPv6 (RFC 4443): the header that all messages share, and echo.
 *
 * ```
 * |     Type      |     Code      |           Checksum            |
 * |  echo: Identifier             |  echo: Sequence Number        |
 * |  error: unused, pointer, or the MTU of «packet too big»       |
 * |  echo: data; error: as much of the packet as fits             |
 * ```
 *
 * Unlike ICMP, the checksum covers a pseudo-header (RFC 8200, section 8.1).
 */
import { DropReason } from "../columns/drop_reason.ts";
import { readU16be, readU32be, writeU16be, writeU32be } from "./bytes.ts";
import { adjust16, adjust32, checksum } from "./checksum.ts";

/** Bytes of the header with the word that each type uses in its way. */
export const HEADER_LENGTH = 8;
export const TYPE_AT = 0;
export const CODE_AT = 1;
export const CHECKSUM_AT = 2;
export const IDENTIFIER_AT = 4;
export const SEQUENCE_AT = 6;
/** The 32-bit word of an error: the MTU of «packet too big». */
export const EXTRA_AT = 4;

/** Message types (IANA «ICMPv6 "type" Numbers»). */
export const Type = {
  DestinationUnreachable: 1,
  PacketTooBig: 2,
  TimeExceeded: 3,
  ParameterProblem: 4,
  EchoRequest: 128,
  EchoReply: 129,
  Redirect: 137,
} as const;

/** Codes of {@linkcode Type}.DestinationUnreachable. */
export const Unreachable = {
  NoRoute: 0,
  AdministrativelyProhibited: 1,
  Address: 3,
  Port: 4,
  SourcePolicy: 5,
} as const;

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

/** Whether a type is an echo request or reply. */
export function isEcho(type: number): boolean {
  return type === Type.EchoRequest || type === Type.EchoReply;
}

/** Whether a type is an error (RFC 4443, section 2.1: the high bit is clear). */
export function isError(type: number): boolean {
  return type < 128;
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

/** Of an error: the 32-bit word; the MTU of «packet too big». */
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

/** Brings the checksum up to date after a word of the pseudo-header has changed. */
export function adjustChecksum32(
  b: Uint8Array,
  at: number,
  old32: number,
  new32: number,
): void {
  writeU16be(
    b,
    at + CHECKSUM_AT,
    adjust32(headerChecksum(b, at), old32, new32),
  );
}

/** Computes the checksum anew; `pseudo` is the pseudo-header's sum. */
export function updateChecksum(
  b: Uint8Array,
  at: number,
  length: number,
  pseudo: number,
): void {
  writeU16be(b, at + CHECKSUM_AT, 0);
  writeU16be(b, at + CHECKSUM_AT, checksum(b, at, length, pseudo));
}

/**
 * Writes a header and the checksum over the whole message, whose body is
 * already in place.
 * @param extra32 the word behind the checksum: identifier and sequence, or an MTU
 * @param length bytes of header and body
 * @param pseudo the pseudo-header's sum
 */
export function emit(
  b: Uint8Array,
  at: number,
  type: number,
  code: number,
  extra32: number,
  length: number,
  pseudo: number,
): void {
  b[at + TYPE_AT] = type;
  b[at + CODE_AT] = code;
  writeU32be(b, at + EXTRA_AT, extra32);
  updateChecksum(b, at, length, pseudo);
}

/** The user's text for a type and code. */
export function formatType(type: number, code: number): string {
  switch (type) {
    case Type.EchoReply:
      return "echo reply";
    case Type.EchoRequest:
      return "echo request";
    case Type.DestinationUnreachable:
      return `destination unreachable (${code})`;
    case Type.PacketTooBig:
      return "packet too big";
    case Type.TimeExceeded:
      return `time exceeded (${code})`;
    case Type.ParameterProblem:
      return `parameter problem (${code})`;
    default:
      return `type ${type} code ${code}`;
  }
}
