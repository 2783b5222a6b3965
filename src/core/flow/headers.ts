/**
 * Headers that the gateway writes itself in front of a payload: IP and UDP for
 * what came through an outside socket, and the plain form of a packet's own
 * headers (no options, no extension headers).
 */
import { isMappedIpv4, writeWords } from "../wire/address.ts";
import { writeU16be } from "../wire/bytes.ts";
import { adjust16, pseudoHeader6, sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import type { PacketView } from "../wire/packet_view.ts";

/** Bytes of a plain IP header for an address's family. */
export function ipHeaderLength(words: Int32Array, i: number): number {
  return isMappedIpv4(words, i) ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
}

/**
 * Writes a plain IP header.
 * @param source address words at `source[i]`, of the same family as `destination[j]`
 * @param payloadLength bytes behind the header
 * @param identification of IPv4; 0 to 65535
 */
export function emitIp(
  b: Uint8Array,
  at: number,
  source: Int32Array,
  i: number,
  destination: Int32Array,
  j: number,
  protocol: number,
  payloadLength: number,
  hopLimit: number,
  identification: number,
): void {
  if (!isMappedIpv4(destination, j)) {
    ipv6.emit(b, at, payloadLength, protocol, hopLimit);
    writeWords(b, at + ipv6.SOURCE_AT, source, i);
    writeWords(b, at + ipv6.DESTINATION_AT, destination, j);
    return;
  }
  const total = ipv4.HEADER_LENGTH + payloadLength;
  // Signed words, as they are: a value above 2^31 would be a number on the heap.
  ipv4.emit(
    b,
    at,
    total,
    protocol,
    hopLimit,
    source[i + 3],
    destination[j + 3],
  );
  const checksum = adjust16(ipv4.headerChecksum(b, at), 0, identification);
  ipv4.setIdentification(b, at, identification);
  writeU16be(b, at + ipv4.CHECKSUM_AT, checksum);
}

/**
 * The pseudo-header's sum for a plain packet whose IP header is in place.
 * @param length bytes behind that header
 */
export function pseudoHeaderOf(
  b: Uint8Array,
  at: number,
  protocol: number,
  length: number,
): number {
  if (b[at] >>> 4 === 4) {
    return sum(b, at + ipv4.SOURCE_AT, 8, protocol + length);
  }
  const sourceAt = at + ipv6.SOURCE_AT;
  return pseudoHeader6(b, sourceAt, at + ipv6.DESTINATION_AT, protocol, length);
}

/**
 * Gives a parsed whole packet a plain IP header, moved up against its transport
 * header: options and extension headers go, the rest stays as it was. The view
 * still names the transport header; its `at` and `headerLength` are brought up
 * to date.
 */
export function makePlain(b: Uint8Array, view: PacketView): void {
  const { at, payloadAt, payloadLength, protocol } = view;
  const length = view.version === 4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
  if (view.headerLength === length) return;
  const to = payloadAt - length;
  b.copyWithin(to, at, at + length);
  if (view.version === 4) {
    b[to] = 0x45;
    ipv4.setTotalLength(b, to, length + payloadLength);
    ipv4.updateHeaderChecksum(b, to);
  } else {
    ipv6.setPayloadLength(b, to, payloadLength);
    b[to + ipv6.NEXT_HEADER_AT] = protocol;
  }
  view.at = to;
  view.headerLength = length;
  view.totalLength = length + payloadLength;
}
