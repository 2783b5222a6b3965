/**
 * The UDP header (RFC 768).
 *
 * ```
 * |          Source Port          |       Destination Port        |
 * |            Length             |           Checksum            |
 * ```
 *
 * A checksum of 0 means none. One that comes out as 0 is sent as 0xffff.
 */
import { DropReason } from "../columns/drop_reason.ts";
import { readU16be, writeU16be } from "./bytes.ts";
import { fold, type Sum, sum } from "./checksum.ts";

/** Bytes of the header. */
export const HEADER_LENGTH = 8;
export const SOURCE_PORT_AT = 0;
export const DESTINATION_PORT_AT = 2;
export const LENGTH_AT = 4;
export const CHECKSUM_AT = 6;

/**
 * Checks the header against the bytes at hand.
 * @param length bytes from `at` to the end of the IP packet
 */
export function validate(
  b: Uint8Array,
  at: number,
  length: number,
): DropReason {
  if (length < HEADER_LENGTH) return DropReason.TooShort;
  const own = datagramLength(b, at);
  if (own < HEADER_LENGTH) return DropReason.BadHeaderLength;
  if (own > length) return DropReason.BadTotalLength;
  return DropReason.None;
}

/** The source port. */
export function sourcePort(b: Uint8Array, at: number): number {
  return readU16be(b, at + SOURCE_PORT_AT);
}

/** The destination port. */
export function destinationPort(b: Uint8Array, at: number): number {
  return readU16be(b, at + DESTINATION_PORT_AT);
}

/** Bytes of header and payload. */
export function datagramLength(b: Uint8Array, at: number): number {
  return readU16be(b, at + LENGTH_AT);
}

/** The checksum that the header carries; 0 is none. */
export function headerChecksum(b: Uint8Array, at: number): number {
  return readU16be(b, at + CHECKSUM_AT);
}

/** Computes the checksum anew over the datagram; `pseudo` is the pseudo-header's sum. */
export function updateChecksum(
  b: Uint8Array,
  at: number,
  pseudo: number,
  add: Sum = sum,
): void {
  writeU16be(b, at + CHECKSUM_AT, 0);
  const value = ~fold(add(b, at, datagramLength(b, at), pseudo)) & 0xffff;
  writeU16be(b, at + CHECKSUM_AT, value || 0xffff);
}

/**
 * Writes a header without checksum; {@linkcode updateChecksum} adds one.
 * @param length bytes of header and payload
 */
export function emit(
  b: Uint8Array,
  at: number,
  sourcePort: number,
  destinationPort: number,
  length: number,
): void {
  writeU16be(b, at + SOURCE_PORT_AT, sourcePort);
  writeU16be(b, at + DESTINATION_PORT_AT, destinationPort);
  writeU16be(b, at + LENGTH_AT, length);
  writeU16be(b, at + CHECKSUM_AT, 0);
}
