/**
 * The IPv4 header (RFC 791).
 *
 * ```
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * |Version|  IHL  |Type of Service|          Total Length         |
 * |         Identification        |Flags|     Fragment Offset     |
 * | Time to Live  |    Protocol   |        Header Checksum        |
 * |                        Source Address                         |
 * |                     Destination Address                       |
 * |                    Options, padded to 32 bits                 |
 * ```
 */
import { DropReason } from "../columns/drop_reason.ts";
import { readU16be, readU32be, writeU16be, writeU32be } from "./bytes.ts";
import { adjust16, checksum, fold, sum } from "./checksum.ts";

/** Bytes of a header without options. */
export const HEADER_LENGTH = 20;
export const TYPE_OF_SERVICE_AT = 1;
export const TOTAL_LENGTH_AT = 2;
export const IDENTIFICATION_AT = 4;
export const FRAGMENT_AT = 6;
export const TIME_TO_LIVE_AT = 8;
export const PROTOCOL_AT = 9;
export const CHECKSUM_AT = 10;
export const SOURCE_AT = 12;
export const DESTINATION_AT = 16;

const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;

/**
 * Checks a header and its lengths.
 * @param length bytes at hand from `at`; what is past the total length is padding
 * @returns None, or why the packet can't be used
 */
export function validate(
  b: Uint8Array,
  at: number,
  length: number,
): DropReason {
  if (length < HEADER_LENGTH || at + length > b.length) {
    return DropReason.TooShort;
  }
  if (b[at] >>> 4 !== 4) return DropReason.UnknownVersion;
  const header = headerLength(b, at);
  if (header < HEADER_LENGTH) return DropReason.BadHeaderLength;
  const total = totalLength(b, at);
  if (total < header || total > length) return DropReason.BadTotalLength;
  if (fold(sum(b, at, header)) !== 0xffff) return DropReason.BadChecksum;
  return DropReason.None;
}

/** Bytes of the header with its options. */
export function headerLength(b: Uint8Array, at: number): number {
  return (b[at] & 15) * 4;
}

/** Bytes of header and payload. */
export function totalLength(b: Uint8Array, at: number): number {
  return readU16be(b, at + TOTAL_LENGTH_AT);
}

/** The value that fragments of one packet share. */
export function identification(b: Uint8Array, at: number): number {
  return readU16be(b, at + IDENTIFICATION_AT);
}

/** Whether routers must not fragment the packet. */
export function dontFragment(b: Uint8Array, at: number): boolean {
  return (readU16be(b, at + FRAGMENT_AT) & DONT_FRAGMENT) !== 0;
}

/** Whether later fragments follow. */
export function moreFragments(b: Uint8Array, at: number): boolean {
  return (readU16be(b, at + FRAGMENT_AT) & MORE_FRAGMENTS) !== 0;
}

/** Where the fragment's payload belongs in the whole payload, in bytes. */
export function fragmentOffset(b: Uint8Array, at: number): number {
  return (readU16be(b, at + FRAGMENT_AT) & 0x1fff) * 8;
}

/** Hops left. */
export function timeToLive(b: Uint8Array, at: number): number {
  return b[at + TIME_TO_LIVE_AT];
}

/** The protocol of the payload. */
export function protocol(b: Uint8Array, at: number): number {
  return b[at + PROTOCOL_AT];
}

/** The checksum that the header carries. */
export function headerChecksum(b: Uint8Array, at: number): number {
  return readU16be(b, at + CHECKSUM_AT);
}

/** The source address. */
export function source(b: Uint8Array, at: number): number {
  return readU32be(b, at + SOURCE_AT);
}

/** The destination address. */
export function destination(b: Uint8Array, at: number): number {
  return readU32be(b, at + DESTINATION_AT);
}

/** Sets the total length; the checksum is left as it was. */
export function setTotalLength(
  b: Uint8Array,
  at: number,
  length: number,
): void {
  writeU16be(b, at + TOTAL_LENGTH_AT, length);
}

/** Sets the identification; the checksum is left as it was. */
export function setIdentification(
  b: Uint8Array,
  at: number,
  value: number,
): void {
  writeU16be(b, at + IDENTIFICATION_AT, value);
}

/**
 * Sets offset and flags; the checksum is left as it was.
 * @param offset in bytes, a multiple of 8
 * @param moreFragments 1 or 0
 * @param dontFragment 1 or 0
 */
export function setFragment(
  b: Uint8Array,
  at: number,
  offset: number,
  moreFragments: number,
  dontFragment: number,
): void {
  const flags = (dontFragment ? DONT_FRAGMENT : 0) |
    (moreFragments ? MORE_FRAGMENTS : 0);
  writeU16be(b, at + FRAGMENT_AT, flags | (offset >>> 3));
}

/** Sets the time to live and keeps the checksum right. */
export function setTimeToLive(b: Uint8Array, at: number, value: number): void {
  const old = readU16be(b, at + TIME_TO_LIVE_AT);
  b[at + TIME_TO_LIVE_AT] = value;
  const adjusted = adjust16(
    headerChecksum(b, at),
    old,
    readU16be(b, at + TIME_TO_LIVE_AT),
  );
  writeU16be(b, at + CHECKSUM_AT, adjusted);
}

/** Sets the source address; the checksum is left as it was. */
export function setSource(b: Uint8Array, at: number, address: number): void {
  writeU32be(b, at + SOURCE_AT, address);
}

/** Sets the destination address; the checksum is left as it was. */
export function setDestination(
  b: Uint8Array,
  at: number,
  address: number,
): void {
  writeU32be(b, at + DESTINATION_AT, address);
}

/** Computes the header's checksum anew. */
export function updateHeaderChecksum(b: Uint8Array, at: number): void {
  writeU16be(b, at + CHECKSUM_AT, 0);
  writeU16be(b, at + CHECKSUM_AT, checksum(b, at, headerLength(b, at)));
}

/**
 * Writes a header of 20 bytes with its checksum: no options, identification 0,
 * may be fragmented.
 */
export function emit(
  b: Uint8Array,
  at: number,
  totalLength: number,
  protocol: number,
  timeToLive: number,
  source: number,
  destination: number,
): void {
  b[at] = 0x45;
  b[at + TYPE_OF_SERVICE_AT] = 0;
  writeU16be(b, at + TOTAL_LENGTH_AT, totalLength);
  writeU32be(b, at + IDENTIFICATION_AT, 0);
  b[at + TIME_TO_LIVE_AT] = timeToLive;
  b[at + PROTOCOL_AT] = protocol;
  writeU32be(b, at + SOURCE_AT, source);
  writeU32be(b, at + DESTINATION_AT, destination);
  updateHeaderChecksum(b, at);
}
