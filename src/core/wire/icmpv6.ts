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
import { writeU16be, writeU32be } from "./bytes.ts";
import { checksum } from "./checksum.ts";
import { CHECKSUM_AT, CODE_AT, EXTRA_AT, TYPE_AT } from "./icmp_header.ts";

export * from "./icmp_header.ts";

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

/** Whether a type is an echo request or reply. */
export function isEcho(type: number): boolean {
  return type === Type.EchoRequest || type === Type.EchoReply;
}

/** Whether a type is an error (RFC 4443, section 2.1: the high bit is clear). */
export function isError(type: number): boolean {
  return type < 128;
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
