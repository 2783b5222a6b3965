/**
 * The packets of a batch, and which of them can travel as one super-packet: the
 * rules of Linux's GRO (inet_gro_receive, tcp_gro_receive, udp_gro_receive_segment).
 *
 * A train is a list of packets that follow each other; it is known by its first
 * packet. Each flow has at most one train that can still grow.
 */
import {
  IPV4_ADDRESSES,
  IPV4_FRAGMENT,
  IPV4_IDENTIFICATION,
  IPV4_PROTOCOL,
  IPV4_TOTAL_LENGTH,
  IPV4_TTL,
  IPV6_ADDRESSES,
  IPV6_HEADER_LENGTH,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TCP_ACK,
  TCP_ACKNOWLEDGMENT,
  TCP_DATA_OFFSET,
  TCP_ECE,
  TCP_FLAGS,
  TCP_OPTIONS,
  TCP_PSH,
  TCP_SEQUENCE,
  TCP_WINDOW,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
} from "./virtio";
import { fold, sum } from "./checksum";
import { field16, ipv4HeaderLength, tcpHeaderLength, version } from "./packet";

/** Packets of one batch at most. */
export const MAX_PACKETS: u32 = 1024;
/** UDP datagrams of one super-packet at most (Linux UDP_MAX_SEGMENTS). */
const MAX_DATAGRAMS: u32 = 64;
/** Bytes of an IP packet at most. */
const MAX_LENGTH: u32 = 0xffff;
const DONT_FRAGMENT: u32 = 0x40;

/** How the IPv4 identification goes on within a train. */
const STEP_UNKNOWN: u8 = 2;

/** One packet of the batch, and the state of the train that it begins. */
@unmanaged
export class Packet {
  /** Address and length of the IP packet, padding taken off. */
  at: usize;
  length: u32;
  /** Length of the IP header; 0 where the packet is of no flow. */
  transportAt: u32;
  /** Length of all headers; 0 where the packet can't be in a train. */
  headerLength: u32;
  protocol: u32;
  /** The next packet of the train, 0 at its end. */
  next: usize;
  /** Whether the packet goes on a train that another one began. */
  joined: bool;

  // Of the first packet only:
  open: bool;
  identificationStep: u8;
  nextIdentification: u16;
  nextSequence: u32;
  /** Packets in the train, and the length of the super-packet. */
  count: u32;
  trainLength: u32;
  /** The last packet. */
  last: usize;

  /** Bytes behind the headers. */
  get payload(): u32 {
    return this.length - this.headerLength;
  }
}

const PACKETS: usize = memory.data(65536, 16); // 64 bytes a packet
const FLOW_BITS = 11, PROBES: u32 = 8;
/** Open addressing: address of the first packet of the flow's last train, or 0. */
const FLOWS: usize = memory.data(8192 + 32, 16);

/** Packet `i` of the batch. */
// @ts-ignore: decorator
@inline
export function packetAt(i: u32): Packet {
  return changetype<Packet>(PACKETS + (<usize> i << 6));
}

/** Forgets all flows. */
export function resetFlows(): void {
  memory.fill(FLOWS, 0, 8192 + 32);
}

/** Reads the headers of the packet at `at` into `packet`. */
export function parse(packet: Packet, at: usize, length: u32): void {
  packet.at = at;
  packet.length = length;
  packet.transportAt = 0;
  packet.headerLength = 0;
  packet.protocol = 0;
  packet.next = 0;
  packet.joined = false;
  packet.open = false;
  packet.count = 1;
  if (length >= 20 && version(at) === 4) parseIpv4(packet, at, length);
  else if (length >= IPV6_HEADER_LENGTH && version(at) === 6) parseIpv6(packet, at, length);
}

function parseIpv4(packet: Packet, at: usize, length: u32): void {
  const total = field16(at + IPV4_TOTAL_LENGTH), headerLength = ipv4HeaderLength(at);
  if (headerLength < 20 || total < headerLength || total > length) return;
  packet.length = total;
  const fragmented = (load<u16>(at, IPV4_FRAGMENT) & 0xff3f) !== 0; // offset or more fragments
  if (fragmented || fold(sum(at, headerLength)) !== 0xffff) return;
  parseTransport(packet, load<u8>(at, IPV4_PROTOCOL), headerLength, headerLength === 20);
}

function parseIpv6(packet: Packet, at: usize, length: u32): void {
  const total = IPV6_HEADER_LENGTH + field16(at + IPV6_PAYLOAD_LENGTH);
  if (total > length) return;
  packet.length = total;
  parseTransport(packet, load<u8>(at, IPV6_NEXT_HEADER), IPV6_HEADER_LENGTH, true);
}

function parseTransport(packet: Packet, protocol: u32, transportAt: u32, simple: bool): void {
  const transport = packet.at + transportAt, rest = packet.length - transportAt;
  if (protocol === PROTOCOL_TCP) {
    if (packet.length < transportAt + 20) return;
    const header = tcpHeaderLength(transport);
    const flags = <u32> load<u8>(transport, TCP_FLAGS) & ~TCP_PSH;
    if (header < 20 || header >= rest || load<u8>(transport, TCP_DATA_OFFSET) & 15) simple = false;
    if (flags !== TCP_ACK && flags !== (TCP_ACK | TCP_ECE)) simple = false;
    if (simple) packet.headerLength = transportAt + header;
  } else if (protocol === PROTOCOL_UDP) {
    if (packet.length < transportAt + UDP_HEADER_LENGTH) return;
    if (field16(transport + UDP_LENGTH) !== rest || rest === UDP_HEADER_LENGTH) simple = false;
    if (load<u16>(transport, UDP_CHECKSUM) === 0) simple = false; // «none»
    if (simple) packet.headerLength = transportAt + UDP_HEADER_LENGTH;
  } else {
    return;
  }
  packet.protocol = protocol;
  packet.transportAt = transportAt;
}

/** Puts a parsed packet on its flow's train, or begins one with it. */
export function place(packet: Packet): void {
  if (packet.transportAt === 0) return;
  const entry = findFlow(packet);
  if (entry === 0) return; // too many flows: the packet stays alone
  const first = changetype<Packet>(load<usize>(entry));
  if (changetype<usize>(first) !== 0 && first.open && follows(first, packet)) {
    append(first, packet);
  } else {
    begin(packet);
    store<usize>(entry, changetype<usize>(packet));
  }
}

/** The entry of the packet's flow, an empty one for a new flow, or 0 where there is no room. */
function findFlow(packet: Packet): usize {
  let entry = FLOWS + (<usize> (hash(packet) >>> (32 - FLOW_BITS)) << 2);
  for (let probe: u32 = 0; probe < PROBES; probe++, entry += 4) {
    const first = load<usize>(entry);
    if (first === 0 || sameFlow(changetype<Packet>(first), packet)) return entry;
  }
  return 0;
}

function hash(packet: Packet): u32 {
  const at = packet.at;
  let mixed: u64;
  if (version(at) === 4) mixed = load<u64>(at, IPV4_ADDRESSES);
  else {
    mixed = load<u64>(at, IPV6_ADDRESSES) ^ load<u64>(at, IPV6_ADDRESSES + 8);
    mixed ^= rotl<u64>(load<u64>(at, IPV6_ADDRESSES + 16) ^ load<u64>(at, IPV6_ADDRESSES + 24), 32);
  }
  mixed = (mixed ^ (<u64> load<u32>(at + packet.transportAt) << 16)) * 0x9e3779b97f4a7c15;
  return <u32> (mixed >> 32);
}

function sameFlow(a: Packet, b: Packet): bool {
  if (a.protocol !== b.protocol || version(a.at) !== version(b.at)) return false;
  // Both ports at once.
  if (load<u32>(a.at + a.transportAt) !== load<u32>(b.at + b.transportAt)) return false;
  if (version(a.at) === 4) {
    return load<u64>(a.at, IPV4_ADDRESSES) === load<u64>(b.at, IPV4_ADDRESSES);
  }
  const difference = v128.or(
    v128.xor(v128.load(a.at, IPV6_ADDRESSES), v128.load(b.at, IPV6_ADDRESSES)),
    v128.xor(v128.load(a.at, IPV6_ADDRESSES + 16), v128.load(b.at, IPV6_ADDRESSES + 16)),
  );
  return !v128.any_true(difference);
}

/** Whether `packet` is what comes after the open train of `first`. */
function follows(first: Packet, packet: Packet): bool {
  if (packet.headerLength !== first.headerLength || packet.transportAt !== first.transportAt) return false;
  if (packet.payload > first.payload) return false;
  if (first.trainLength + packet.payload > MAX_LENGTH) return false;
  if (!sameIpHeader(first, packet)) return false;
  return packet.protocol === PROTOCOL_UDP || sameTcpHeader(first, packet);
}

function sameIpHeader(first: Packet, packet: Packet): bool {
  const a = first.at, b = packet.at;
  if (version(a) === 6) {
    // Version, traffic class and flow label; hop limit.
    return load<u32>(a) === load<u32>(b) && load<u8>(a, IPV6_HOP_LIMIT) === load<u8>(b, IPV6_HOP_LIMIT);
  }
  // Version, IHL and type of service; flags; time to live.
  if (load<u16>(a) !== load<u16>(b) || load<u8>(a, IPV4_FRAGMENT) !== load<u8>(b, IPV4_FRAGMENT)) return false;
  if (load<u8>(a, IPV4_TTL) !== load<u8>(b, IPV4_TTL)) return false;
  return followsIdentification(first, b);
}

/** Identifications count up by one; with DF they may all be the same. */
function followsIdentification(first: Packet, at: usize): bool {
  const identification = <u16> field16(at + IPV4_IDENTIFICATION);
  if (first.identificationStep !== STEP_UNKNOWN) return identification === first.nextIdentification;
  const step = <u16> (identification - <u16> field16(first.at + IPV4_IDENTIFICATION));
  if (step === 1) return true;
  return step === 0 && (load<u8>(at, IPV4_FRAGMENT) & DONT_FRAGMENT) !== 0;
}

function sameTcpHeader(first: Packet, packet: Packet): bool {
  const a = first.at + first.transportAt, b = packet.at + packet.transportAt;
  if (bswap<u32>(load<u32>(b, TCP_SEQUENCE)) !== first.nextSequence) return false;
  if (load<u32>(a, TCP_ACKNOWLEDGMENT) !== load<u32>(b, TCP_ACKNOWLEDGMENT)) return false;
  if (load<u16>(a, TCP_WINDOW) !== load<u16>(b, TCP_WINDOW)) return false;
  if ((load<u8>(a, TCP_FLAGS) ^ load<u8>(b, TCP_FLAGS)) & ~TCP_PSH) return false;
  const end = packet.headerLength - packet.transportAt;
  for (let i = TCP_OPTIONS; i < end; i += 4) {
    if (load<u32>(a + i) !== load<u32>(b + i)) return false;
  }
  return true;
}

/** Makes `packet` the first of a train, which stays open where it may be in one. */
function begin(packet: Packet): void {
  if (packet.headerLength === 0) return;
  const transport = packet.at + packet.transportAt;
  packet.trainLength = packet.length;
  packet.last = changetype<usize>(packet);
  packet.identificationStep = STEP_UNKNOWN;
  if (packet.protocol === PROTOCOL_TCP) {
    packet.nextSequence = bswap<u32>(load<u32>(transport, TCP_SEQUENCE)) + packet.payload;
    packet.open = (load<u8>(transport, TCP_FLAGS) & TCP_PSH) === 0;
  } else {
    packet.open = true;
  }
}

/** Adds `packet` to the train; a shorter one, one with PSH or a full train ends it. */
function append(first: Packet, packet: Packet): void {
  const transport = packet.at + packet.transportAt;
  packet.joined = true;
  changetype<Packet>(first.last).next = changetype<usize>(packet);
  first.last = changetype<usize>(packet);
  first.count++;
  first.trainLength += packet.payload;
  first.nextSequence += packet.payload;
  if (version(packet.at) === 4) {
    const identification = <u16> field16(packet.at + IPV4_IDENTIFICATION);
    if (first.identificationStep === STEP_UNKNOWN) {
      first.identificationStep = identification === <u16> field16(first.at + IPV4_IDENTIFICATION) ? 0 : 1;
    }
    first.nextIdentification = identification + first.identificationStep;
  }
  const ends = packet.protocol === PROTOCOL_TCP
    ? (load<u8>(transport, TCP_FLAGS) & TCP_PSH) !== 0
    : first.count === MAX_DATAGRAMS;
  if (ends || packet.payload < first.payload) first.open = false;
}
