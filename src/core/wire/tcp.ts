/**
 * The TCP header (RFC 9293, section 3.1).
 *
 * ```
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * |          Source Port          |       Destination Port        |
 * |                        Sequence Number                        |
 * |                    Acknowledgment Number                      |
 * | Offset| Rsrvd |C|E|U|A|P|R|S|F|            Window             |
 * |           Checksum            |         Urgent Pointer        |
 * |                    Options, padded to 32 bits                 |
 * ```
 */
import { DropReason } from "../columns/drop_reason.ts";
import {
  copyBytes,
  readU16be,
  readU32be,
  writeU16be,
  writeU32be,
} from "./bytes.ts";
import {
  adjust16,
  ChecksumForm,
  fold,
  pseudoHeader4,
  pseudoHeader6,
  type Sum,
  sum,
} from "./checksum.ts";
import * as ipv4 from "./ipv4.ts";
import * as ipv6 from "./ipv6.ts";
import { Protocol } from "./protocol.ts";

/** Bytes of a header without options. */
export const HEADER_LENGTH = 20;
export const SOURCE_PORT_AT = 0;
export const DESTINATION_PORT_AT = 2;
export const SEQUENCE_AT = 4;
export const ACKNOWLEDGMENT_AT = 8;
export const DATA_OFFSET_AT = 12;
export const FLAGS_AT = 13;
export const WINDOW_AT = 14;
export const CHECKSUM_AT = 16;
export const URGENT_AT = 18;

/** The control bits. */
export const Flag = {
  Fin: 1,
  Syn: 2,
  Rst: 4,
  Psh: 8,
  Ack: 16,
  Urg: 32,
  Ece: 64,
  Cwr: 128,
} as const;

/** Kinds of options (RFC 9293, section 3.2). */
const OPTION_END = 0;
const OPTION_NONE = 1;
const OPTION_MSS = 2;
const MSS_LENGTH = 4;

const RESET_HOP_LIMIT = 64;

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
  const header = headerLength(b, at);
  if (header < HEADER_LENGTH || header > length) {
    return DropReason.BadHeaderLength;
  }
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

/** The sequence number. */
export function sequence(b: Uint8Array, at: number): number {
  return readU32be(b, at + SEQUENCE_AT);
}

/** The acknowledgment number; it counts only with {@linkcode Flag}.Ack. */
export function acknowledgment(b: Uint8Array, at: number): number {
  return readU32be(b, at + ACKNOWLEDGMENT_AT);
}

/** Bytes of the header with its options. */
export function headerLength(b: Uint8Array, at: number): number {
  return (b[at + DATA_OFFSET_AT] >>> 4) * 4;
}

/** The control bits, an or of {@linkcode Flag}. */
export function flags(b: Uint8Array, at: number): number {
  return b[at + FLAGS_AT];
}

/** The checksum that the header carries. */
export function headerChecksum(b: Uint8Array, at: number): number {
  return readU16be(b, at + CHECKSUM_AT);
}

/**
 * Computes the checksum anew.
 * @param length bytes of header and payload
 * @param pseudo the pseudo-header's sum
 */
export function updateChecksum(
  b: Uint8Array,
  at: number,
  length: number,
  pseudo: number,
  add: Sum = sum,
): void {
  writeU16be(b, at + CHECKSUM_AT, 0);
  const value = ~fold(add(b, at, length, pseudo)) & 0xffff;
  writeU16be(b, at + CHECKSUM_AT, value);
}

/**
 * Where the value of a header's MSS option (RFC 9293, section 3.7.1) stands, or
 * -1 where it has none. Malformed options end the search.
 * @param length bytes from `at` to the end of the IP packet
 */
export function mssAt(b: Uint8Array, at: number, length: number): number {
  const end = at + Math.min(length, headerLength(b, at));
  let here = at + HEADER_LENGTH;
  while (here < end && b[here] !== OPTION_END) {
    if (b[here] === OPTION_NONE) {
      here++;
      continue;
    }
    if (here + 2 > end) return -1;
    const size = b[here + 1];
    if (size < 2 || here + size > end) return -1;
    if (b[here] === OPTION_MSS) return size === MSS_LENGTH ? here + 2 : -1;
    here += size;
  }
  return -1;
}

/**
 * Lowers the MSS option of a SYN to what fits a path; one that is lower already
 * stays, and a SYN without one is left alone (its peer assumes 536 or 1220).
 * @param length bytes from `at` to the end of the IP packet
 * @param form of the checksum, which is kept right
 */
export function clampMss(
  b: Uint8Array,
  at: number,
  length: number,
  mss: number,
  form: ChecksumForm = ChecksumForm.Whole,
): void {
  const valueAt = mssAt(b, at, length);
  if (valueAt < 0) return;
  const old = readU16be(b, valueAt);
  if (old <= mss) return;
  writeU16be(b, valueAt, mss);
  if (form === ChecksumForm.Partial) return;
  // At an odd place the value lies across two words of the sum, as if swapped.
  if (((valueAt - at) & 1) === 0) adjustChecksum16(b, at, old, mss);
  else adjustChecksum16(b, at, swap16(old), swap16(mss));
}

/** Writes a header of 20 bytes without checksum; {@linkcode updateChecksum} adds it. */
export function emit(
  b: Uint8Array,
  at: number,
  sourcePort: number,
  destinationPort: number,
  sequence: number,
  acknowledgment: number,
  flags: number,
  window: number,
): void {
  writeU16be(b, at + SOURCE_PORT_AT, sourcePort);
  writeU16be(b, at + DESTINATION_PORT_AT, destinationPort);
  writeU32be(b, at + SEQUENCE_AT, sequence);
  writeU32be(b, at + ACKNOWLEDGMENT_AT, acknowledgment);
  b[at + DATA_OFFSET_AT] = 0x50;
  b[at + FLAGS_AT] = flags;
  writeU16be(b, at + WINDOW_AT, window);
  writeU32be(b, at + CHECKSUM_AT, 0);
}

/**
 * Writes the IP packet that refuses a segment as a closed port does (RFC 9293,
 * section 3.10.7.1): with ACK, a RST at its acknowledgment; else RST and ACK
 * for all that it occupies.
 * @param b where the answer goes: 40 bytes at `at` for IPv4, 60 for IPv6
 * @param inBytes the refused packet, parsed before, its IP header at `inAt`
 * @returns bytes written; 0 where no answer is due, as to a RST
 */
export function emitReset(
  b: Uint8Array,
  at: number,
  inBytes: Uint8Array,
  inAt: number,
): number {
  const version = inBytes[inAt] >>> 4;
  const inTcp = segmentAt(inBytes, inAt);
  const inEnd = inAt +
    (version === 4
      ? ipv4.totalLength(inBytes, inAt)
      : ipv6.HEADER_LENGTH + ipv6.payloadLength(inBytes, inAt));
  if (inTcp < 0 || inTcp + HEADER_LENGTH > inEnd) return 0;
  const inFlags = flags(inBytes, inTcp);
  if ((inFlags & Flag.Rst) !== 0) return 0;

  const header = version === 4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
  const tcp = at + header;
  const from = destinationPort(inBytes, inTcp);
  const to = sourcePort(inBytes, inTcp);
  if ((inFlags & Flag.Ack) !== 0) {
    emit(b, tcp, from, to, acknowledgment(inBytes, inTcp), 0, Flag.Rst, 0);
  } else {
    const data = Math.max(0, inEnd - inTcp - headerLength(inBytes, inTcp));
    const controls = ((inFlags & Flag.Syn) >>> 1) + (inFlags & Flag.Fin);
    const acknowledged = sequence(inBytes, inTcp) + data + controls;
    emit(b, tcp, from, to, 0, acknowledged, Flag.Rst | Flag.Ack, 0);
  }

  if (version === 4) {
    const source = ipv4.destination(inBytes, inAt);
    const destination = ipv4.source(inBytes, inAt);
    ipv4.emit(
      b,
      at,
      header + HEADER_LENGTH,
      Protocol.Tcp,
      RESET_HOP_LIMIT,
      source,
      destination,
    );
    const pseudo = pseudoHeader4(
      source,
      destination,
      Protocol.Tcp,
      HEADER_LENGTH,
    );
    updateChecksum(b, tcp, HEADER_LENGTH, pseudo);
  } else {
    ipv6.emit(b, at, HEADER_LENGTH, Protocol.Tcp, RESET_HOP_LIMIT);
    copyBytes(b, at + ipv6.SOURCE_AT, inBytes, inAt + ipv6.DESTINATION_AT, 16);
    copyBytes(b, at + ipv6.DESTINATION_AT, inBytes, inAt + ipv6.SOURCE_AT, 16);
    const pseudo = pseudoHeader6(
      b,
      at + ipv6.SOURCE_AT,
      at + ipv6.DESTINATION_AT,
      Protocol.Tcp,
      HEADER_LENGTH,
    );
    updateChecksum(b, tcp, HEADER_LENGTH, pseudo);
  }
  return header + HEADER_LENGTH;
}

/** Brings the checksum up to date after a covered 16-bit word has changed. */
function adjustChecksum16(
  b: Uint8Array,
  at: number,
  old16: number,
  new16: number,
): void {
  writeU16be(
    b,
    at + CHECKSUM_AT,
    adjust16(headerChecksum(b, at), old16, new16),
  );
}

function swap16(value: number): number {
  return ((value & 255) << 8) | (value >>> 8);
}

/** Where the TCP header of an IP packet starts, or -1. */
function segmentAt(b: Uint8Array, at: number): number {
  if (b[at] >>> 4 === 6) return ipv6.upperLayerAt(b, at, Protocol.Tcp);
  if (ipv4.protocol(b, at) !== Protocol.Tcp) return -1;
  if (ipv4.fragmentOffset(b, at) > 0) return -1;
  return at + ipv4.headerLength(b, at);
}

/** The control bits as text: «SYN ACK»; empty where none is set. */
export function formatFlags(flags: number): string {
  return Object.entries(Flag)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name.toUpperCase())
    .join(" ");
}
