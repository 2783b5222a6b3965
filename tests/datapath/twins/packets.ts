/** Plain builders and checks for IP packets with TCP or UDP. */

/** A packet to build; what is left out has a plain value. */
export interface PacketShape {
  readonly family: 4 | 6;
  readonly protocol: "tcp" | "udp";
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
  /** Last byte of the source address. */
  readonly host?: number;
  readonly identification?: number;
  readonly dontFragment?: boolean;
  readonly trafficClass?: number;
  readonly hopLimit?: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  readonly flags?: number;
  readonly window?: number;
  /** TCP options, a multiple of 4 bytes. */
  readonly options?: Uint8Array;
  /** IPv4 options, a multiple of 4 bytes. */
  readonly ipOptions?: Uint8Array;
  /** UDP without a checksum. */
  readonly noChecksum?: boolean;
}

/** Builds a packet with right lengths and checksums. */
export function buildPacket(shape: PacketShape): Uint8Array<ArrayBuffer> {
  const transport = shape.protocol === "tcp"
    ? tcpHeader(shape)
    : udpHeader(shape);
  const body = concat(transport, shape.payload);
  const packet = concat(
    shape.family === 4
      ? ipv4Header(shape, body.length)
      : ipv6Header(shape, body.length),
    body,
  );
  completeTransportChecksum(packet);
  if (shape.noChecksum) setU16(packet, transportAt(packet) + 6, 0);
  return packet;
}

function tcpHeader(shape: PacketShape): Uint8Array {
  const options = shape.options ?? new Uint8Array();
  const header = concat(new Uint8Array(20), options);
  setU16(header, 0, shape.sourcePort);
  setU16(header, 2, shape.destinationPort);
  new DataView(header.buffer).setUint32(4, (shape.sequence ?? 1) >>> 0);
  new DataView(header.buffer).setUint32(8, (shape.acknowledgment ?? 1) >>> 0);
  header[12] = (header.length / 4) << 4;
  header[13] = shape.flags ?? 0x10;
  setU16(header, 14, shape.window ?? 500);
  return header;
}

function udpHeader(shape: PacketShape): Uint8Array {
  const header = new Uint8Array(8);
  setU16(header, 0, shape.sourcePort);
  setU16(header, 2, shape.destinationPort);
  setU16(header, 4, 8 + shape.payload.length);
  return header;
}

function ipv4Header(shape: PacketShape, bodyLength: number): Uint8Array {
  const header = concat(
    new Uint8Array(20),
    shape.ipOptions ?? new Uint8Array(),
  );
  header[0] = 0x40 | (header.length / 4);
  header[1] = shape.trafficClass ?? 0;
  setU16(header, 2, header.length + bodyLength);
  setU16(header, 4, shape.identification ?? 0);
  setU16(header, 6, shape.dontFragment ?? true ? 0x4000 : 0);
  header[8] = shape.hopLimit ?? 64;
  header[9] = shape.protocol === "tcp" ? 6 : 17;
  header.set([10, 8, 0, shape.host ?? 2, 192, 0, 2, 1], 12);
  setU16(header, 10, complement(sum(header, 0, header.length)));
  return header;
}

function ipv6Header(shape: PacketShape, bodyLength: number): Uint8Array {
  const header = new Uint8Array(40);
  setU16(header, 0, 0x6000 | ((shape.trafficClass ?? 0) << 4));
  setU16(header, 4, bodyLength);
  header[6] = shape.protocol === "tcp" ? 6 : 17;
  header[7] = shape.hopLimit ?? 64;
  header.set(
    [0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, shape.host ?? 2],
    8,
  );
  header.set([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 24);
  return header;
}

/** Where the transport header starts; IPv6 without extension headers. */
export function transportAt(packet: Uint8Array): number {
  return packet[0]! >> 4 === 4 ? (packet[0]! & 15) * 4 : 40;
}

/** The IP protocol, 6 or 17. */
export function protocolOf(packet: Uint8Array): number {
  return packet[0]! >> 4 === 4 ? packet[9]! : packet[6]!;
}

/** The sum of the pseudo-header for a transport part of `length` bytes. */
export function pseudoSum(packet: Uint8Array, length: number): number {
  const addresses = packet[0]! >> 4 === 4
    ? sum(packet, 12, 8)
    : sum(packet, 8, 32);
  return addresses + protocolOf(packet) + length;
}

/** The sum over pseudo-header, transport header and payload; 0xffff where the checksum is right. */
export function transportSum(packet: Uint8Array): number {
  const at = transportAt(packet), length = packet.length - at;
  return fold(pseudoSum(packet, length) + sum(packet, at, length));
}

/** Where the transport checksum stands. */
export function checksumAt(packet: Uint8Array): number {
  return transportAt(packet) + (protocolOf(packet) === 6 ? 16 : 6);
}

/** Writes the right transport checksum. */
export function completeTransportChecksum(packet: Uint8Array): void {
  setU16(packet, checksumAt(packet), 0);
  const value = complement(transportSum(packet));
  setU16(packet, checksumAt(packet), value === 0 ? 0xffff : value);
}

/** Writes the right IPv4 header checksum; nothing for IPv6. */
export function completeHeaderChecksum(packet: Uint8Array): void {
  if (packet[0]! >> 4 !== 4) return;
  setU16(packet, 10, 0);
  setU16(packet, 10, complement(sum(packet, 0, transportAt(packet))));
}

/** Sum of big-endian 16-bit words, an odd end padded. */
export function sum(bytes: Uint8Array, at: number, length: number): number {
  let total = 0;
  for (let i = 0; i < length; i++) {
    total += i % 2 === 0 ? bytes[at + i]! * 256 : bytes[at + i]!;
  }
  return total;
}

/** Folds to 16 bits. */
export function fold(total: number): number {
  while (total > 0xffff) {
    total = (total % 0x10000) + Math.floor(total / 0x10000);
  }
  return total;
}

function complement(total: number): number {
  return fold(total) ^ 0xffff;
}

export function getU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 256 + bytes[at + 1]!;
}

export function setU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >> 8) & 0xff;
  bytes[at + 1] = value & 0xff;
}

export function getU32(bytes: Uint8Array, at: number): number {
  return getU16(bytes, at) * 0x10000 + getU16(bytes, at + 2);
}

export function setU32(bytes: Uint8Array, at: number, value: number): void {
  setU16(bytes, at, value >>> 16);
  setU16(bytes, at + 2, value);
}

export function concat(
  ...parts: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(
    parts.reduce((length, part) => length + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A virtio_net_hdr. */
export interface Vnet {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

/** The header of a packet that is complete. */
export const PLAIN_VNET: Vnet = {
  flags: 0,
  gsoType: 0,
  headerLength: 0,
  gsoSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
};

export function writeVnet(vnet: Vnet): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(10), view = new DataView(bytes.buffer);
  bytes[0] = vnet.flags;
  bytes[1] = vnet.gsoType;
  view.setUint16(2, vnet.headerLength, true);
  view.setUint16(4, vnet.gsoSize, true);
  view.setUint16(6, vnet.checksumStart, true);
  view.setUint16(8, vnet.checksumOffset, true);
  return bytes;
}

export function readVnet(bytes: Uint8Array): Vnet {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 10);
  return {
    flags: bytes[0]!,
    gsoType: bytes[1]!,
    headerLength: view.getUint16(2, true),
    gsoSize: view.getUint16(4, true),
    checksumStart: view.getUint16(6, true),
    checksumOffset: view.getUint16(8, true),
  };
}
