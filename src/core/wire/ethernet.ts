/**
 * Ethernet II frames (IEEE 802.3 clause 3), with a tag or without (IEEE 802.1Q
 * clause 9): where the IP packet starts, and whose frame it is.
 *
 *      0            6            12       14
 *     | destination | source     | type  | payload              untagged
 *     | destination | source     | 81 00 | tag | type | payload tagged
 *      0            6            12      14    16     18
 */
import { copyBytes, readU16be, writeU16be } from "./bytes.ts";

/** Bytes of an address. */
export const ADDRESS_LENGTH = 6;
export const DESTINATION_AT = 0;
export const SOURCE_AT = 6;
export const TYPE_AT = 12;
/** Bytes of a header without a tag. */
export const HEADER_LENGTH = 14;
/** Bytes that a tag adds. */
export const TAG_LENGTH = 4;
/** A frame's payload at most, tags left out. */
export const MAX_PAYLOAD = 1500;

/** What a frame carries: RFC 7042 appendix B. */
export const EtherType = {
  Ipv4: 0x0800,
  Arp: 0x0806,
  /** IEEE 802.1Q: a tag. */
  Tag: 0x8100,
  Ipv6: 0x86dd,
  /** MPLS (RFC 5332). */
  Mpls: 0x8847,
  MplsUpstream: 0x8848,
  /** PPP over Ethernet, session (RFC 2516). */
  PppoeSession: 0x8864,
  /** IEEE 802.1ad: an outer tag. */
  OuterTag: 0x88a8,
} as const;

/** What kind of frame it is: {@linkcode frameKind}. */
export const FrameKind = {
  /** An IPv4 or IPv6 packet starts at {@linkcode payloadAt}. */
  Ip: 0,
  /** No IP within: ARP and all that links say to each other. */
  Other: 1,
  /** Carries packets in a wrapping that nobody looks into here. */
  Wrapped: 2,
  /** No frame at all. */
  Broken: 3,
} as const;

/** One of the values of {@linkcode FrameKind}. */
export type FrameKind = typeof FrameKind[keyof typeof FrameKind];

/** The type of what is in the frame at `at`, behind its tag where it has one. */
export function etherType(b: Uint8Array, at: number): number {
  const type = readU16be(b, at + TYPE_AT);
  return type === EtherType.Tag
    ? readU16be(b, at + TYPE_AT + TAG_LENGTH)
    : type;
}

/** Bytes of the header of the frame at `at`: 14, or 18 with a tag. */
export function headerLength(b: Uint8Array, at: number): number {
  return readU16be(b, at + TYPE_AT) === EtherType.Tag
    ? HEADER_LENGTH + TAG_LENGTH
    : HEADER_LENGTH;
}

/**
 * Looks at a frame.
 * @param length bytes of the whole frame, without its check sequence
 */
export function frameKind(
  b: Uint8Array,
  at: number,
  length: number,
): FrameKind {
  if (length < HEADER_LENGTH || length < headerLength(b, at)) {
    return FrameKind.Broken;
  }
  switch (etherType(b, at)) {
    case EtherType.Ipv4:
    case EtherType.Ipv6:
      return FrameKind.Ip;
    case EtherType.Tag:
    case EtherType.OuterTag:
    case EtherType.Mpls:
    case EtherType.MplsUpstream:
    case EtherType.PppoeSession:
      return FrameKind.Wrapped;
    default:
      return FrameKind.Other;
  }
}

/** Makes a frame one from its receiver to its sender. */
export function turnRound(b: Uint8Array, at: number): void {
  for (let n = 0; n < ADDRESS_LENGTH; n++) {
    const to = b[at + DESTINATION_AT + n];
    b[at + DESTINATION_AT + n] = b[at + SOURCE_AT + n];
    b[at + SOURCE_AT + n] = to;
  }
}

/**
 * Writes a header without a tag.
 * @param destination where the destination's address lies in `addresses`
 * @param source the same for the source's
 * @param version of the IP packet behind it
 */
export function emit(
  b: Uint8Array,
  at: number,
  addresses: Uint8Array,
  destination: number,
  source: number,
  version: number,
): void {
  copyBytes(b, at + DESTINATION_AT, addresses, destination, ADDRESS_LENGTH);
  copyBytes(b, at + SOURCE_AT, addresses, source, ADDRESS_LENGTH);
  writeU16be(
    b,
    at + TYPE_AT,
    version === 4 ? EtherType.Ipv4 : EtherType.Ipv6,
  );
}

/** Six bytes as people write them: `02:00:5e:10:00:01`. */
export function formatMac(b: Uint8Array, at: number): string {
  return Array.from(
    b.subarray(at, at + ADDRESS_LENGTH),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join(":");
}
