/**
 * The internet checksum: RFC 1071 for the whole, RFC 1624 for a change.
 *
 * Three forms of a number occur and must not be mixed up:
 * - a sum: unfolded, below 2^32, made by `sum` and the pseudo-headers;
 * - a folded sum: 16 bits, 0xffff where a received range is intact;
 * - a checksum: the folded sum inverted, as it stands in the packet.
 */
import { readU16be } from "./bytes.ts";

/** What a packet's transport checksum field holds. */
export const ChecksumForm = {
  /** The checksum of header and payload. */
  Whole: 0,
  /**
   * The folded sum of the pseudo-header, not inverted: a device adds the rest
   * (virtio's NEEDS_CSUM).
   */
  Partial: 1,
} as const;

/** One of the values of {@linkcode ChecksumForm}. */
export type ChecksumForm = typeof ChecksumForm[keyof typeof ChecksumForm];

/**
 * How the words of long ranges are added up: {@linkcode sum}, or something
 * faster that gives a sum which folds to the same.
 */
export type Sum = (
  b: Uint8Array,
  at: number,
  length: number,
  initial: number,
) => number;

/**
 * Adds up 16-bit big-endian words; an odd last byte counts as the high half.
 * @param initial a sum to start from, such as a pseudo-header's
 * @returns the sum, unfolded: safe for 64 KB of bytes and any pseudo-header
 */
export function sum(
  b: Uint8Array,
  at: number,
  length: number,
  initial = 0,
): number {
  const end = at + length;
  let high = 0;
  let low = 0;
  let i = at;
  for (const last = end - 16; i <= last; i += 16) {
    high += b[i] + b[i + 2] + b[i + 4] + b[i + 6] + b[i + 8] + b[i + 10] +
      b[i + 12] + b[i + 14];
    low += b[i + 1] + b[i + 3] + b[i + 5] + b[i + 7] + b[i + 9] + b[i + 11] +
      b[i + 13] +
      b[i + 15];
  }
  for (const last = end - 2; i <= last; i += 2) {
    high += b[i];
    low += b[i + 1];
  }
  if (i < end) high += b[i];
  return initial + high * 256 + low;
}

/** Folds a sum below 2^32 into 16 bits; not inverted. */
export function fold(sum: number): number {
  const once = (sum >>> 16) + (sum & 0xffff);
  return (once >>> 16) + (once & 0xffff);
}

/** The checksum of a range, as it goes into the packet. */
export function checksum(
  b: Uint8Array,
  at: number,
  length: number,
  initial = 0,
): number {
  return ~fold(sum(b, at, length, initial)) & 0xffff;
}

/**
 * The checksum after one 16-bit word that it covers has changed (RFC 1624,
 * equation 3). Right wherever the covered words are not all zero, which an IP
 * or pseudo-header excludes.
 */
export function adjust16(
  checksum: number,
  old16: number,
  new16: number,
): number {
  return ~fold((~checksum & 0xffff) + (~old16 & 0xffff) + (new16 & 0xffff)) &
    0xffff;
}

/**
 * The sum of the IPv4 pseudo-header (RFC 793, RFC 768).
 * @param length bytes of the transport header and its payload
 */
export function pseudoHeader4(
  source: number,
  destination: number,
  protocol: number,
  length: number,
): number {
  return (source >>> 16) + (source & 0xffff) + (destination >>> 16) +
    (destination & 0xffff) +
    protocol + length;
}

/**
 * The sum of the IPv6 pseudo-header (RFC 8200, section 8.1).
 * @param sourceAt where the 16 bytes of the source address lie
 * @param length bytes of the upper-layer packet, below 2^16
 */
export function pseudoHeader6(
  b: Uint8Array,
  sourceAt: number,
  destinationAt: number,
  protocol: number,
  length: number,
): number {
  let total = protocol + length;
  for (let i = 0; i < 16; i += 2) {
    total += readU16be(b, sourceAt + i) + readU16be(b, destinationAt + i);
  }
  return total;
}
