/**
 * The IPv6 header and its extension headers (RFC 8200).
 *
 * ```
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * |Version| Traffic Class |           Flow Label                  |
 * |         Payload Length        |  Next Header  |   Hop Limit   |
 * |                     Source Address, 16 bytes                  |
 * |                  Destination Address, 16 bytes                |
 *
 * Fragment header (section 4.5):
 * |  Next Header  |   Reserved    |      Fragment Offset    |Res|M|
 * |                         Identification                        |
 * ```
 */
import { DropReason } from "../columns/drop_reason.ts";
import { readU16be, readU32be, writeU16be, writeU32be } from "./bytes.ts";
import { Protocol } from "./protocol.ts";

/** Bytes of the fixed header. */
export const HEADER_LENGTH = 40;
export const PAYLOAD_LENGTH_AT = 4;
export const NEXT_HEADER_AT = 6;
export const HOP_LIMIT_AT = 7;
export const SOURCE_AT = 8;
export const DESTINATION_AT = 24;
/** Bytes of a fragment header. */
export const FRAGMENT_HEADER_LENGTH = 8;
/** Extension headers that a packet may have; more are refused. */
export const MAX_EXTENSION_HEADERS = 8;

/**
 * Checks the fixed header and its length, not the extension headers.
 * @param length bytes at hand from `at`; what is past the payload is padding
 */
export function validate(
  b: Uint8Array,
  at: number,
  length: number,
): DropReason {
  if (length < HEADER_LENGTH || at + length > b.length) {
    return DropReason.TooShort;
  }
  if (b[at] >>> 4 !== 6) return DropReason.UnknownVersion;
  if (HEADER_LENGTH + payloadLength(b, at) > length) {
    return DropReason.BadTotalLength;
  }
  return DropReason.None;
}

/** Bytes behind the fixed header, extension headers included. */
export function payloadLength(b: Uint8Array, at: number): number {
  return readU16be(b, at + PAYLOAD_LENGTH_AT);
}

/** The protocol of what follows the fixed header. */
export function nextHeader(b: Uint8Array, at: number): number {
  return b[at + NEXT_HEADER_AT];
}

/** Hops left. */
export function hopLimit(b: Uint8Array, at: number): number {
  return b[at + HOP_LIMIT_AT];
}

/** Sets the payload length. */
export function setPayloadLength(
  b: Uint8Array,
  at: number,
  length: number,
): void {
  writeU16be(b, at + PAYLOAD_LENGTH_AT, length);
}

/** Sets the hop limit. */
export function setHopLimit(b: Uint8Array, at: number, value: number): void {
  b[at + HOP_LIMIT_AT] = value;
}

/** Writes the fixed header but for the addresses, which the caller writes. */
export function emit(
  b: Uint8Array,
  at: number,
  payloadLength: number,
  nextHeader: number,
  hopLimit: number,
): void {
  writeU32be(b, at, 0x60000000);
  writeU16be(b, at + PAYLOAD_LENGTH_AT, payloadLength);
  b[at + NEXT_HEADER_AT] = nextHeader;
  b[at + HOP_LIMIT_AT] = hopLimit;
}

/** Whether a next-header value is an extension header that can be stepped over. */
export function isExtensionHeader(nextHeader: number): boolean {
  return nextHeader === Protocol.HopByHop || nextHeader === Protocol.Routing ||
    nextHeader === Protocol.Fragment ||
    nextHeader === Protocol.DestinationOptions ||
    nextHeader === Protocol.AuthenticationHeader;
}

/**
 * Bytes of the extension header at `at`, whose first two bytes are at hand.
 * The authentication header counts in 4 bytes less 2 (RFC 4302, section 2.2).
 */
export function extensionLength(
  b: Uint8Array,
  at: number,
  nextHeader: number,
): number {
  if (nextHeader === Protocol.Fragment) return FRAGMENT_HEADER_LENGTH;
  if (nextHeader === Protocol.AuthenticationHeader) return (b[at + 1] + 2) * 4;
  return (b[at + 1] + 1) * 8;
}

/**
 * Where the header of `protocol` starts in a packet that was parsed before, or
 * -1 where the extension headers don't lead to it, as in later fragments.
 */
export function upperLayerAt(
  b: Uint8Array,
  at: number,
  protocol: number,
): number {
  const end = at + HEADER_LENGTH + payloadLength(b, at);
  let next = nextHeader(b, at);
  let here = at + HEADER_LENGTH;
  for (let n = 0; n <= MAX_EXTENSION_HEADERS; n++) {
    if (next === protocol) return here;
    if (!isExtensionHeader(next) || here + 8 > end) return -1;
    if (next === Protocol.Fragment && fragmentOffset(b, here) > 0) return -1;
    const length = extensionLength(b, here, next);
    next = b[here];
    here += length;
  }
  return -1;
}

/** Of a fragment header: the protocol of the fragmented part. */
export function fragmentNextHeader(b: Uint8Array, at: number): number {
  return b[at];
}

/** Of a fragment header: the offset in bytes. */
export function fragmentOffset(b: Uint8Array, at: number): number {
  return readU16be(b, at + 2) & 0xfff8;
}

/** Of a fragment header: whether later fragments follow. */
export function moreFragments(b: Uint8Array, at: number): boolean {
  return (b[at + 3] & 1) !== 0;
}

/** Of a fragment header: the value that fragments of one packet share. */
export function fragmentIdentification(b: Uint8Array, at: number): number {
  return readU32be(b, at + 4);
}

/**
 * Writes a fragment header.
 * @param offset in bytes, a multiple of 8
 * @param moreFragments 1 or 0
 */
export function emitFragmentHeader(
  b: Uint8Array,
  at: number,
  nextHeader: number,
  offset: number,
  moreFragments: number,
  identification: number,
): void {
  b[at] = nextHeader;
  b[at + 1] = 0;
  writeU16be(b, at + 2, offset | (moreFragments ? 1 : 0));
  writeU32be(b, at + 4, identification);
}
