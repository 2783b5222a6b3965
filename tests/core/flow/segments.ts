/** TCP segments for tests, built slowly and plainly, and read back the same way. */
import {
  addressBytes,
  type IpOptions,
  ipPacket,
  slowChecksum,
} from "./packets.ts";

export const FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16;

/** What a segment says. */
export interface SegmentOptions extends IpOptions {
  readonly fromPort: number;
  readonly toPort: number;
  readonly flags: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  /** A multiple of 4 bytes. */
  readonly tcpOptions?: readonly number[];
  readonly data?: readonly number[];
}

function word(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function half(value: number): number[] {
  return [value >>> 8, value & 255];
}

/** The bytes that the TCP checksum covers besides the segment. */
export function pseudoBytes(
  from: string,
  to: string,
  length: number,
): number[] {
  return [...addressBytes(from), ...addressBytes(to), 0, 6, ...half(length)];
}

/** A whole TCP packet with its checksum. */
export function segment(options: SegmentOptions): Uint8Array {
  const extra = options.tcpOptions ?? [];
  const data = options.data ?? [];
  const bytes = [
    ...half(options.fromPort),
    ...half(options.toPort),
    ...word(options.seq ?? 0),
    ...word(options.ack ?? 0),
    (5 + extra.length / 4) << 4,
    options.flags,
    ...half(options.window ?? 0xffff),
    ...[0, 0, 0, 0],
    ...extra,
    ...data,
  ];
  const pseudo = pseudoBytes(options.from, options.to, bytes.length);
  const checksum = slowChecksum([...pseudo, ...bytes]);
  bytes[16] = checksum >> 8;
  bytes[17] = checksum & 255;
  return ipPacket(6, bytes, options);
}

/** The same with a partial checksum: the pseudo-header's folded sum, not inverted. */
export function partialSegment(options: SegmentOptions): Uint8Array {
  const packet = segment(options);
  const at = tcpStart(packet);
  const pseudo = pseudoBytes(options.from, options.to, packet.length - at);
  const sum = 0xffff - slowChecksum(pseudo);
  packet[at + 16] = sum >> 8;
  packet[at + 17] = sum & 255;
  return packet;
}

/** Where TCP starts in a packet without IPv6 extension headers. */
export function tcpStart(packet: ArrayLike<number>): number {
  return packet[0] >> 4 === 4 ? (packet[0] & 15) * 4 : 40;
}

/** A segment as it was read. */
export interface ReadSegment {
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly mss: number | undefined;
  readonly data: number[];
}

/** Reads a whole packet and checks every length and checksum by the book. */
export function readSegment(bytes: readonly number[]): ReadSegment {
  const isIpv4 = bytes[0] >> 4 === 4;
  const at = tcpStart(bytes);
  const total = isIpv4
    ? bytes[2] * 256 + bytes[3]
    : 40 + bytes[4] * 256 + bytes[5];
  if (total !== bytes.length) {
    throw new Error(`${bytes.length} bytes, says ${total}`);
  }
  if (isIpv4 && slowChecksum(bytes.slice(0, at)) !== 0) {
    throw new Error("IPv4 checksum");
  }
  const [from, to] = isIpv4
    ? [text4(bytes.slice(12, 16)), text4(bytes.slice(16, 20))]
    : [text6(bytes.slice(8, 24)), text6(bytes.slice(24, 40))];
  const tcp = bytes.slice(at);
  const pseudo = pseudoBytes(from, to, tcp.length);
  if (slowChecksum([...pseudo, ...tcp]) !== 0) throw new Error("TCP checksum");
  const read32 = (
    i: number,
  ) => (tcp[i] * 0x1000000 + (tcp[i + 1] << 16 | tcp[i + 2] << 8 | tcp[i + 3]));
  const header = (tcp[12] >> 4) * 4;
  return {
    from,
    to,
    fromPort: tcp[0] * 256 + tcp[1],
    toPort: tcp[2] * 256 + tcp[3],
    seq: read32(4),
    ack: read32(8),
    flags: tcp[13],
    mss: tcp[20] === 2 && header > 20 ? tcp[22] * 256 + tcp[23] : undefined,
    data: tcp.slice(header),
  };
}

function text4(bytes: readonly number[]): string {
  return bytes.join(".");
}

function text6(bytes: readonly number[]): string {
  return [0, 2, 4, 6, 8, 10, 12, 14]
    .map((i) => (bytes[i] * 256 + bytes[i + 1]).toString(16)).join(":");
}
