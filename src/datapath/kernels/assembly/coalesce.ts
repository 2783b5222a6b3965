/**
 * Coalescing: the packets of a batch to as few writes to a TUN device with
 * IFF_VNET_HDR as Linux's GRO rules allow (flows.ts). Packets of one flow keep
 * their order.
 *
 * A row of the table is an address and a length, two 32-bit integers: before,
 * an IP packet; afterwards, a vnet header with the packet or super-packet.
 * Super-packets are copied to the output area; a checksum that turns out wrong
 * while copying leaves its packet alone, for the host to refuse.
 */
import { copySum, fold, sum } from "./checksum";
import { MAX_PACKETS, Packet, packetAt, parse, place, resetFlows } from "./flows";
import { addressSum, copyHeaders, protocolSum, setField16, setPacketLength, version } from "./packet";
import {
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  NEEDS_CSUM,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TCP_CHECKSUM,
  TCP_FLAGS,
  TCP_PSH,
  UDP_CHECKSUM,
  UDP_LENGTH,
  VNET_LENGTH,
} from "./virtio";

/** Too many packets, or the output area is too small. */
const NO_ROOM: i32 = -1;
/** What emitPart returns where there is no room; no packet's address. */
const STOPPED: usize = usize.MAX_VALUE;

// Flags of coalesce().
/** Build TCP super-packets. */
const TCP: u32 = 1;
/** Build UDP super-packets. */
const UDP: u32 = 2;
/** The 10 bytes before a packet may be overwritten by its vnet header. */
const IN_PLACE: u32 = 4;

// Where the next bytes and the next row go.
let out: usize = 0, outEnd: usize = 0, table: usize = 0;
let inPlace: bool = false;

/**
 * Coalesces the `count` packets of the table and writes the result over it.
 * @returns the number of rows, at most `count`, or NO_ROOM.
 */
export function coalesce(tableAt: usize, count: u32, outAt: usize, outLimit: usize, flags: u32): i32 {
  if (count > MAX_PACKETS) return NO_ROOM;
  out = outAt, outEnd = outLimit, table = tableAt, inPlace = (flags & IN_PLACE) !== 0;
  resetFlows();
  for (let i: u32 = 0; i < count; i++) {
    const packet = packetAt(i), row = tableAt + (<usize> i << 3);
    parse(packet, load<u32>(row), load<u32>(row, 4));
    if (packet.protocol === PROTOCOL_TCP ? flags & TCP : flags & UDP) place(packet);
  }
  for (let i: u32 = 0; i < count; i++) {
    const packet = packetAt(i);
    if (packet.joined) continue;
    if (!(packet.count === 1 ? emitAlone(packet) : emitTrain(packet))) return NO_ROOM;
  }
  return <i32> ((table - tableAt) >>> 3);
}

/** Enters a vnet header and its packet into the table. */
// @ts-ignore: decorator
@inline
function enter(at: usize, length: u32): void {
  store<u32>(table, <u32> at);
  store<u32>(table, length + VNET_LENGTH, 4);
  table += 8;
}

/** An empty vnet header: nothing to segment, checksum complete. */
// @ts-ignore: decorator
@inline
function clearVnet(vnet: usize): void {
  store<u64>(vnet, 0);
  store<u16>(vnet, 0, 8);
}

/** A packet as it is. */
function emitAlone(packet: Packet): bool {
  const at = packet.at, length = packet.length;
  if (inPlace) {
    clearVnet(at - VNET_LENGTH);
    enter(at - VNET_LENGTH, length);
    return true;
  }
  if (out + VNET_LENGTH + length > outEnd) return false;
  clearVnet(out);
  memory.copy(out + VNET_LENGTH, at, length);
  enter(out, length);
  out += VNET_LENGTH + length;
  return true;
}

/** A train: one super-packet, or several where a checksum in between is wrong. */
function emitTrain(first: Packet): bool {
  let packet = first;
  while (changetype<usize>(packet) !== 0) {
    const next = emitPart(packet);
    if (next === STOPPED) return false;
    packet = changetype<Packet>(next);
  }
  return true;
}

/**
 * Emits the packets from `first` on up to the first wrong checksum, and the one
 * with that checksum by itself.
 * @returns the packet after them, 0 at the train's end, or STOPPED.
 */
function emitPart(first: Packet): usize {
  const headerLength = first.headerLength, target = out + VNET_LENGTH;
  const addresses = addressSum(first.at);
  let length = headerLength, last: usize = 0, count: u32 = 0;
  let packet = first;
  do {
    if (target + length + packet.payload > outEnd) return STOPPED;
    const transportAt = packet.transportAt;
    const covered = addresses + protocolSum(packet.protocol, packet.length - transportAt) +
      sum(packet.at + transportAt, headerLength - transportAt) +
      copySum(packet.at + headerLength, target + length, packet.payload);
    if (fold(covered) !== 0xffff) break;
    length += packet.payload;
    last = changetype<usize>(packet);
    count++;
    packet = changetype<Packet>(packet.next);
  } while (changetype<usize>(packet) !== 0);

  if (count === 1) {
    if (!emitAlone(first)) return STOPPED;
  } else if (count > 1) {
    copyHeaders(first.at, target, headerLength);
    finishSuperPacket(first, changetype<Packet>(last), length);
    enter(out, length);
    out = target + length;
  }
  if (changetype<usize>(packet) === 0) return 0;
  const next = packet.next;
  return emitAlone(packet) ? next : STOPPED;
}

/** Completes the headers of the super-packet at out. */
function finishSuperPacket(first: Packet, last: Packet, length: u32): void {
  const packet = out + VNET_LENGTH, transportAt = first.transportAt;
  const transport = packet + transportAt, transportLength = length - transportAt;
  const tcp = first.protocol === PROTOCOL_TCP;
  setPacketLength(packet, length);
  if (tcp) {
    const push = load<u8>(last.at + transportAt, TCP_FLAGS) & TCP_PSH;
    store<u8>(transport, load<u8>(transport, TCP_FLAGS) | push, TCP_FLAGS);
  } else {
    setField16(transport + UDP_LENGTH, transportLength);
  }
  const checksumAt = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
  const partial = addressSum(packet) + protocolSum(first.protocol, transportLength);
  store<u16>(transport + checksumAt, <u16> fold(partial));
  const type = !tcp ? GSO_UDP_L4 : version(packet) === 4 ? GSO_TCPV4 : GSO_TCPV6;
  store<u8>(out, NEEDS_CSUM);
  store<u8>(out, <u8> type, 1);
  store<u16>(out, <u16> first.headerLength, 2);
  store<u16>(out, <u16> first.payload, 4);
  store<u16>(out, <u16> transportAt, 6);
  store<u16>(out, <u16> checksumAt, 8);
}
