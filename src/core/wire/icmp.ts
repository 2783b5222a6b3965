/**
 * ICMP for IPv4 (RFC 792): the header that all messages share, and echo.
 *
 * ```
 * |     Type      |     Code      |           Checksum            |
 * |  echo: Identifier             |  echo: Sequence Number        |
 * |  error: unused, pointer, or (RFC 1191) the next-hop MTU       |
 * |  echo: data; error: IP header and the start of its payload    |
 * ```
 */
import { readU16be, writeU16be, writeU32be } from "./bytes.ts";
import { checksum } from "./checksum.ts";
import { CHECKSUM_AT, CODE_AT, EXTRA_AT, TYPE_AT } from "./icmp_header.ts";

export * from "./icmp_header.ts";

/** Message types (IANA «ICMP Type Numbers»). */
export const Type = {
  EchoReply: 0,
  DestinationUnreachable: 3,
  SourceQuench: 4,
  Redirect: 5,
  EchoRequest: 8,
  TimeExceeded: 11,
  ParameterProblem: 12,
} as const;

/** Codes of {@linkcode Type}.DestinationUnreachable. */
export const Unreachable = {
  Network: 0,
  Host: 1,
  Protocol: 2,
  Port: 3,
  FragmentationNeeded: 4,
  AdministrativelyProhibited: 13,
} as const;

/** Whether a type is an echo request or reply. */
export function isEcho(type: number): boolean {
  return type === Type.EchoRequest || type === Type.EchoReply;
}

/** Whether a type is an error, which carries the start of another packet. */
export function isError(type: number): boolean {
  return type === Type.DestinationUnreachable || type === Type.SourceQuench ||
    type === Type.Redirect || type === Type.TimeExceeded ||
    type === Type.ParameterProblem;
}

/** Of «fragmentation needed»: the next hop's MTU (RFC 1191); 0 where not told. */
export function nextHopMtu(b: Uint8Array, at: number): number {
  return readU16be(b, at + 6);
}

/** Computes the checksum anew over `length` bytes of the message. */
export function updateChecksum(
  b: Uint8Array,
  at: number,
  length: number,
): void {
  writeU16be(b, at + CHECKSUM_AT, 0);
  writeU16be(b, at + CHECKSUM_AT, checksum(b, at, length));
}

/**
 * Writes a header and the checksum over the whole message, whose body is
 * already in place.
 * @param extra32 the word behind the checksum: identifier and sequence, or an MTU
 * @param length bytes of header and body
 */
export function emit(
  b: Uint8Array,
  at: number,
  type: number,
  code: number,
  extra32: number,
  length: number,
): void {
  b[at + TYPE_AT] = type;
  b[at + CODE_AT] = code;
  writeU32be(b, at + EXTRA_AT, extra32);
  updateChecksum(b, at, length);
}

/** The user's text for a type and code. */
export function formatType(type: number, code: number): string {
  switch (type) {
    case Type.EchoReply:
      return "echo reply";
    case Type.EchoRequest:
      return "echo request";
    case Type.DestinationUnreachable:
      return code === Unreachable.FragmentationNeeded
        ? "fragmentation needed"
        : `destination unreachable (${code})`;
    case Type.SourceQuench:
      return "source quench";
    case Type.Redirect:
      return `redirect (${code})`;
    case Type.TimeExceeded:
      return `time exceeded (${code})`;
    case Type.ParameterProblem:
      return `parameter problem (${code})`;
    default:
      return `type ${type} code ${code}`;
  }
}
