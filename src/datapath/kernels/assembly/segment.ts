/**
 * Segmentation: what a TUN device with IFF_VNET_HDR gives (one packet, or a TCP
 * or UDP super-packet of up to 64 KB) to packets with complete checksums. What
 * Linux does in tcp_gso_segment and __udp_gso_segment.
 *
 * Packets are laid out for sealing, one message after the other, so that
 * messages of equal size can go out in one send:
 *
 *     | headroom | packet | zeros | tailroom | headroom | packet | ...
 *     ^ out                                  ^ next out
 *
 * The zeros fill the packet to a multiple of 16, but not past `padLimit`. Row i
 * of the table is packet i's address and length, two 32-bit integers.
 */
import { copySum, sum } from "./checksum";
import {
  addressSum,
  checksumOf,
  copyHeaders,
  field16,
  ipv4HeaderLength,
  protocolSum,
  setField16,
  setPacketLength,
  tcpHeaderLength,
  version,
} from "./packet";
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  IPV4_IDENTIFICATION,
  IPV6_HEADER_LENGTH,
  NEEDS_CSUM,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TCP_CHECKSUM,
  TCP_CWR,
  TCP_FIN,
  TCP_FLAGS,
  TCP_PSH,
  TCP_SEQUENCE,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  VNET_LENGTH,
} from "./virtio";

/** The source is no packet that a TUN device would give. */
const MALFORMED: i32 = 0;
/** Output area or table are too small. */
const NO_ROOM: i32 = -1;

// The layout of the messages and where the next one goes.
let out: usize = 0, outEnd: usize = 0, table: usize = 0, tableEnd: usize = 0;
let headroom: usize = 0, tailroom: usize = 0, padLimit: usize = 0;

/** A packet's length with its padding. */
// @ts-ignore: decorator
@inline
function padded(length: usize): usize {
  const full = (length + 15) & ~15;
  return full <= padLimit ? full : max<usize>(length, padLimit);
}

/** Whether a packet of `length` bytes still fits. */
// @ts-ignore: decorator
@inline
function fits(length: usize): bool {
  return table + 8 <= tableEnd && out + headroom + padded(length) + tailroom <= outEnd;
}

/** Pads the packet at out + headroom, enters it into the table and goes on to the next message. */
// @ts-ignore: decorator
@inline
function finish(length: usize): void {
  const packet = out + headroom, end = padded(length);
  for (let i = length; i < end; i++) store<u8>(packet + i, 0);
  store<u32>(table, <u32> packet);
  store<u32>(table, <u32> length, 4);
  table += 8;
  out = packet + end + tailroom;
}

/**
 * Segments `sourceLength` bytes (vnet header and packet) at `source`.
 * @returns the number of packets, MALFORMED or NO_ROOM.
 */
export function segment(
  source: usize,
  sourceLength: usize,
  outAt: usize,
  outLimit: usize,
  headroomLength: usize,
  tailroomLength: usize,
  padTo: usize,
  tableAt: usize,
  tableLimit: usize,
): i32 {
  if (sourceLength <= VNET_LENGTH) return MALFORMED;
  out = outAt, outEnd = outLimit, table = tableAt, tableEnd = tableLimit;
  headroom = headroomLength, tailroom = tailroomLength, padLimit = padTo;
  const type = <u32> load<u8>(source, 1) & ~GSO_ECN;
  const packet = source + VNET_LENGTH, length = <u32> (sourceLength - VNET_LENGTH);
  return type === GSO_NONE ? whole(source, packet, length) : split(source, type, packet, length);
}

/** A packet that stays whole; its checksum is completed where that is asked for. */
function whole(vnet: usize, source: usize, length: u32): i32 {
  const start = <u32> load<u16>(vnet, 6), field = start + load<u16>(vnet, 8);
  const partial = (load<u8>(vnet) & NEEDS_CSUM) !== 0;
  if (partial && field + 2 > length) return MALFORMED;
  if (!fits(length)) return NO_ROOM;
  const packet = out + headroom;
  memory.copy(packet, source, length);
  if (partial) store<u16>(packet + field, checksumOf(sum(packet + start, length - start)));
  finish(length);
  return 1;
}

/** A super-packet. */
function split(vnet: usize, type: u32, source: usize, length: u32): i32 {
  const size = <u32> load<u16>(vnet, 4);
  const transportAt = <u32> load<u16>(vnet, 6);
  const headerLength = checkedHeaderLength(vnet, type, source, length);
  if (headerLength === 0 || size === 0) return MALFORMED;
  const tcp = type !== GSO_UDP_L4;
  const ipv4 = version(source) === 4;
  const identification = field16(source + IPV4_IDENTIFICATION);
  const sequence = bswap<u32>(load<u32>(source + transportAt, TCP_SEQUENCE));
  const addresses = addressSum(source);

  let count: u32 = 0, done = headerLength;
  do {
    const payload = min<u32>(size, length - done), last = done + payload === length;
    const total = headerLength + payload, transportLength = total - transportAt;
    if (!fits(total)) return NO_ROOM;
    const packet = out + headroom, transport = packet + transportAt;
    copyHeaders(source, packet, headerLength);
    if (ipv4) setField16(packet + IPV4_IDENTIFICATION, identification + count);
    setPacketLength(packet, total);
    if (tcp) {
      store<u32>(transport, bswap<u32>(sequence + done - headerLength), TCP_SEQUENCE);
      // FIN and PSH belong to the last segment, CWR to the first (RFC 3168 6.1.2).
      let flags = <u32> load<u8>(transport, TCP_FLAGS);
      if (!last) flags &= ~(TCP_FIN | TCP_PSH);
      if (count) flags &= ~TCP_CWR;
      store<u8>(transport, <u8> flags, TCP_FLAGS);
    } else {
      setField16(transport + UDP_LENGTH, transportLength);
    }
    const checksum = transport + (tcp ? TCP_CHECKSUM : UDP_CHECKSUM);
    store<u16>(checksum, 0);
    const covered = sum(transport, headerLength - transportAt) +
      copySum(source + done, packet + headerLength, payload);
    const protocol = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    store<u16>(checksum, checksumOf(addresses + protocolSum(protocol, transportLength) + covered));
    finish(total);
    done += payload;
    count++;
  } while (done < length);
  return count;
}

/** The length of all headers where they agree with the vnet header, else 0. */
function checkedHeaderLength(vnet: usize, type: u32, packet: usize, length: u32): u32 {
  if (!(load<u8>(vnet) & NEEDS_CSUM)) return 0;
  const transportAt = <u32> load<u16>(vnet, 6);
  const tcp = type === GSO_TCPV4 || type === GSO_TCPV6;
  if (!tcp && type !== GSO_UDP_L4) return 0;
  if (length > 0xffff || transportAt + (tcp ? 20 : UDP_HEADER_LENGTH) > length) return 0;
  if (version(packet) === 4) {
    if (type === GSO_TCPV6 || transportAt < 20) return 0;
    if (ipv4HeaderLength(packet) !== transportAt) return 0;
  } else {
    if (version(packet) !== 6 || type === GSO_TCPV4) return 0;
    if (transportAt < IPV6_HEADER_LENGTH || transportAt & 3) return 0;
  }
  const transportLength = tcp ? tcpHeaderLength(packet + transportAt) : UDP_HEADER_LENGTH;
  if (tcp && transportLength < 20 || transportAt + transportLength > length) return 0;
  return transportAt + transportLength;
}
