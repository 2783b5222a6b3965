/**
 * WireGuard's four messages (WireGuard paper, section 5.4). Integers are
 * little-endian. Offsets are from the message's start, behind any prefix.
 *
 *     1 initiation            2 response              3 cookie reply
 *     0   type           4    0  type            4    0  type            4
 *     4   sender         4    4  sender          4    4  receiver        4
 *     8   ephemeral     32    8  receiver        4    8  nonce          24
 *     40  static+tag    48    12 ephemeral      32    32 cookie+tag     32
 *     88  timestamp+tag 28    44 nothing+tag    16    64
 *     116 mac1          16    60 mac1           16
 *     132 mac2          16    76 mac2           16    4 transport
 *     148                     92                      0  type            4
 *                                                     4  receiver        4
 *                                                     8  counter         8
 *                                                     16 packet+tag   >=16
 *
 * The type is one byte and three zeros: as a 32-bit integer 1 to 4.
 */
import { readU32le, writeU32le } from "../wire/bytes.ts";

/** What a datagram is. */
export const MessageKind = {
  /** Not a message of ours. */
  None: 0,
  Initiation: 1,
  Response: 2,
  Cookie: 3,
  Transport: 4,
} as const;

/** One of the values of {@linkcode MessageKind}. */
export type MessageKind = typeof MessageKind[keyof typeof MessageKind];

export const INITIATION_LENGTH = 148;
export const RESPONSE_LENGTH = 92;
export const COOKIE_LENGTH = 64;
/** Bytes before the ciphertext of a transport message. */
export const TRANSPORT_HEADER_LENGTH = 16;
/** Length of a keepalive: header and tag. */
export const TRANSPORT_MINIMUM = 32;
export const TAG_LENGTH = 16;

/** Our peer's index in initiation and response. */
export const SENDER_AT = 4;
export const INITIATION_EPHEMERAL_AT = 8;
export const INITIATION_STATIC_AT = 40;
export const INITIATION_TIMESTAMP_AT = 88;
export const INITIATION_MAC1_AT = 116;
export const RESPONSE_RECEIVER_AT = 8;
export const RESPONSE_EPHEMERAL_AT = 12;
export const RESPONSE_EMPTY_AT = 44;
export const RESPONSE_MAC1_AT = 60;
export const COOKIE_RECEIVER_AT = 4;
export const COOKIE_NONCE_AT = 8;
export const COOKIE_SEALED_AT = 32;
export const TRANSPORT_RECEIVER_AT = 4;
export const TRANSPORT_COUNTER_AT = 8;

/** Packets are padded with zeros to a multiple of this before sealing. */
export const PADDING = 16;

const TWO_POW_32 = 2 ** 32;

/** The receiver index of a transport message, as unsigned 32 bits. */
export function transportReceiver(bytes: Uint8Array, at: number): number {
  return readU32le(bytes, at + TRANSPORT_RECEIVER_AT);
}

/** The counter of a transport message; -1 where it is 2^53 or more. */
export function transportCounter(bytes: Uint8Array, at: number): number {
  const high = readU32le(bytes, at + TRANSPORT_COUNTER_AT + 4);
  if (high >= 0x200000) return -1;
  return high * TWO_POW_32 + readU32le(bytes, at + TRANSPORT_COUNTER_AT);
}

/**
 * Writes the 16 bytes before a transport message's ciphertext.
 * @param type 4, or what the message format draws.
 */
export function writeTransportHeader(
  bytes: Uint8Array,
  at: number,
  type: number,
  receiver: number,
  counter: number,
): void {
  writeU32le(bytes, at, type);
  writeU32le(bytes, at + TRANSPORT_RECEIVER_AT, receiver);
  writeU32le(bytes, at + TRANSPORT_COUNTER_AT, counter % TWO_POW_32);
  writeU32le(
    bytes,
    at + TRANSPORT_COUNTER_AT + 4,
    Math.floor(counter / TWO_POW_32),
  );
}

/**
 * The length of a packet of `length` bytes with its padding: a multiple of 16,
 * but never past the MTU unless the packet itself is.
 */
export function paddedLength(length: number, mtu: number): number {
  const padded = (length + PADDING - 1) & ~(PADDING - 1);
  return padded <= mtu ? padded : Math.max(length, mtu);
}
