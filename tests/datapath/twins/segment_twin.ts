/** Segmentation, slow and plain: one object per packet, every sum from the start. */
import {
  completeHeaderChecksum,
  concat,
  fold,
  getU16,
  getU32,
  readVnet,
  setU16,
  setU32,
  sum,
} from "./packets.ts";

/**
 * The packets of a source (vnet header and packet), or undefined where no TUN
 * device would give it.
 */
export function segmentTwin(source: Uint8Array): Uint8Array[] | undefined {
  if (source.length <= 10) return undefined;
  const vnet = readVnet(source), packet = source.slice(10);
  const type = vnet.gsoType & 0x7f, partial = (vnet.flags & 1) !== 0;
  const start = vnet.checksumStart, field = start + vnet.checksumOffset;
  if (type === 0) {
    if (!partial) return [packet];
    if (field + 2 > packet.length) return undefined;
    const value = fold(sum(packet, start, packet.length - start)) ^ 0xffff;
    setU16(packet, field, value === 0 ? 0xffff : value);
    return [packet];
  }

  const version = packet[0]! >> 4, tcp = type === 1 || type === 4;
  if (!partial || vnet.gsoSize === 0 || packet.length > 0xffff) {
    return undefined;
  }
  if (![1, 4, 5].includes(type) || ![4, 6].includes(version)) return undefined;
  if (type === 1 && version !== 4 || type === 4 && version !== 6) {
    return undefined;
  }
  if (start + (tcp ? 20 : 8) > packet.length) return undefined;
  if (version === 4 && (start < 20 || start !== (packet[0]! & 15) * 4)) {
    return undefined;
  }
  if (version === 6 && (start < 40 || start % 4 !== 0)) return undefined;
  const transportLength = tcp ? (packet[start + 12]! >> 4) * 4 : 8;
  if (tcp && transportLength < 20) return undefined;
  const headerLength = start + transportLength;
  if (headerLength > packet.length) return undefined;

  const header = packet.slice(0, headerLength),
    payload = packet.slice(headerLength);
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < payload.length; at += vnet.gsoSize) {
    const last = at + vnet.gsoSize >= payload.length;
    const part = concat(header, payload.slice(at, at + vnet.gsoSize));
    if (version === 4) {
      setU16(part, 2, part.length);
      setU16(part, 4, getU16(header, 4) + parts.length);
      completeHeaderChecksum(part);
    } else {
      setU16(part, 4, part.length - 40);
    }
    if (tcp) {
      setU32(part, start + 4, getU32(header, start + 4) + at);
      if (!last) part[start + 13]! &= ~(0x01 | 0x08);
      if (at > 0) part[start + 13]! &= ~0x80;
    } else {
      setU16(part, start + 4, part.length - start);
    }
    completeChecksum(part, start, tcp ? 6 : 17);
    parts.push(part);
  }
  return parts;
}

/** The transport checksum, also behind IPv6 extension headers. */
function completeChecksum(
  packet: Uint8Array,
  start: number,
  protocol: number,
): void {
  const at = start + (protocol === 6 ? 16 : 6), length = packet.length - start;
  const addresses = packet[0]! >> 4 === 4
    ? sum(packet, 12, 8)
    : sum(packet, 8, 32);
  setU16(packet, at, 0);
  const value =
    fold(addresses + protocol + length + sum(packet, start, length)) ^ 0xffff;
  setU16(packet, at, value === 0 ? 0xffff : value);
}
