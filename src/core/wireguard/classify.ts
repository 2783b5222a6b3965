/**
 * Which WireGuard message a datagram is, with AmneziaWG's prefixes and header
 * values in place. The first thing done to every datagram: nothing here
 * allocates.
 *
 *     | S random bytes | type: a value of range H | message ... |
 *
 * Initiation, response and cookie are known by exact length and type, transport
 * by least length and type; anything else is junk.
 */
import { readU32le } from "../wire/bytes.ts";
import {
  COOKIE_LENGTH,
  INITIATION_LENGTH,
  MessageKind,
  RESPONSE_LENGTH,
  TRANSPORT_MINIMUM,
} from "./messages.ts";

export { MessageKind } from "./messages.ts";

/**
 * The outside of the messages. Index 0 to 3 stand for initiation, response,
 * cookie, transport (MessageKind - 1). Survives structured cloning.
 */
export interface MessageFormat {
  /** Random bytes before each message (S1..S4). */
  readonly prefix: Int32Array;
  /** Lowest and highest value of each type (H1..H4). */
  readonly headerFirst: Uint32Array;
  readonly headerLast: Uint32Array;
}

/** WireGuard itself: no prefix, types 1 to 4. */
export function plainFormat(): MessageFormat {
  return {
    prefix: new Int32Array(4),
    headerFirst: Uint32Array.of(1, 2, 3, 4),
    headerLast: Uint32Array.of(1, 2, 3, 4),
  };
}

/**
 * The kind of the datagram in bytes[at .. at+length). The message itself starts
 * at `at + format.prefix[kind - 1]`.
 */
export function classify(
  bytes: Uint8Array,
  at: number,
  length: number,
  format: MessageFormat,
): MessageKind {
  const prefix = format.prefix;
  if (
    length === prefix[0] + INITIATION_LENGTH &&
    typeMatches(bytes, at, 0, format)
  ) {
    return MessageKind.Initiation;
  }
  if (
    length === prefix[1] + RESPONSE_LENGTH && typeMatches(bytes, at, 1, format)
  ) {
    return MessageKind.Response;
  }
  if (
    length === prefix[2] + COOKIE_LENGTH && typeMatches(bytes, at, 2, format)
  ) {
    return MessageKind.Cookie;
  }
  if (
    length >= prefix[3] + TRANSPORT_MINIMUM && typeMatches(bytes, at, 3, format)
  ) {
    return MessageKind.Transport;
  }
  return MessageKind.None;
}

/**
 * A type value for a message to send.
 * @param random an unsigned 32-bit number.
 */
export function drawHeader(
  format: MessageFormat,
  kind: MessageKind,
  random: number,
): number {
  const first = format.headerFirst[kind - 1];
  const span = format.headerLast[kind - 1] - first + 1;
  return span === 1 ? first : first + random % span;
}

function typeMatches(
  bytes: Uint8Array,
  at: number,
  index: number,
  format: MessageFormat,
): boolean {
  const type = readU32le(bytes, at + format.prefix[index]);
  return type >= format.headerFirst[index] && type <= format.headerLast[index];
}
