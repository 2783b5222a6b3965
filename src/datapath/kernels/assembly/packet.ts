/** What segmentation and coalescing both do to IP headers. */
import { fold, sum, swap16 } from "./checksum";
import {
  IPV4_ADDRESSES,
  IPV4_CHECKSUM,
  IPV4_TOTAL_LENGTH,
  IPV6_ADDRESSES,
  IPV6_HEADER_LENGTH,
  IPV6_PAYLOAD_LENGTH,
} from "./virtio";

/** Reads a big-endian 16-bit field. */
// @ts-ignore: decorator
@inline
export function field16(at: usize): u32 {
  return swap16(load<u16>(at));
}

/** Writes a big-endian 16-bit field. */
// @ts-ignore: decorator
@inline
export function setField16(at: usize, value: u32): void {
  store<u16>(at, <u16> swap16(value));
}

// @ts-ignore: decorator
@inline
export function version(packet: usize): u32 {
  return <u32> load<u8>(packet) >> 4;
}

/** The IPv4 header's length by its IHL field. */
// @ts-ignore: decorator
@inline
export function ipv4HeaderLength(packet: usize): u32 {
  return (<u32> load<u8>(packet) & 15) << 2;
}

/** The TCP header's length by its data offset. */
// @ts-ignore: decorator
@inline
export function tcpHeaderLength(tcp: usize): u32 {
  return (<u32> load<u8>(tcp, 12) >> 4) << 2;
}

/** Sum of both addresses: the pseudo-header without protocol and length. */
// @ts-ignore: decorator
@inline
export function addressSum(packet: usize): u64 {
  return version(packet) === 4
    ? sum(packet + IPV4_ADDRESSES, 8)
    : sum(packet + IPV6_ADDRESSES, 32);
}

/** The rest of the pseudo-header: protocol and the transport header's and payload's length. */
// @ts-ignore: decorator
@inline
export function protocolSum(protocol: u32, length: u32): u64 {
  return swap16(protocol) + swap16(length);
}

/** Sets the packet's length, and IPv4's header checksum with it. */
// @ts-ignore: decorator
@inline
export function setPacketLength(packet: usize, length: u32): void {
  if (version(packet) === 4) {
    setField16(packet + IPV4_TOTAL_LENGTH, length);
    store<u16>(packet, 0, IPV4_CHECKSUM);
    store<u16>(packet, <u16> ~fold(sum(packet, ipv4HeaderLength(packet))), IPV4_CHECKSUM);
  } else {
    setField16(packet + IPV6_PAYLOAD_LENGTH, length - IPV6_HEADER_LENGTH);
  }
}

/** Copies headers; their length is a multiple of 4. */
// @ts-ignore: decorator
@inline
export function copyHeaders(from: usize, to: usize, length: usize): void {
  let i: usize = 0;
  for (; i + 16 <= length; i += 16) v128.store(to + i, v128.load(from + i));
  for (; i < length; i += 4) store<u32>(to + i, load<u32>(from + i));
}

/** A checksum to be stored; 0 is never stored, since UDP takes it for «none». */
// @ts-ignore: decorator
@inline
export function checksumOf(total: u64): u16 {
  const folded = fold(total);
  return folded === 0xffff ? 0xffff : <u16> ~folded;
}
