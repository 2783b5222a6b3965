/**
 * Other ends for a whole packet of a flow, in place: TCP, UDP or an ICMP echo of
 * either family, all checksums kept as right, or as wrong, as they were.
 *
 *     program  local:port -> remote:port   <->   outside  near:port -> to:port
 *
 * An echo has one identifier in the place of both ports.
 */
import { isMappedIpv4 } from "../wire/address.ts";
import { readU16be, writeU16be } from "../wire/bytes.ts";
import { type ChecksumForm, fold } from "../wire/checksum.ts";
import * as icmp from "../wire/icmp.ts";
import { Protocol } from "../wire/protocol.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";
import { rewriteAddresses4, rewriteAddresses6, rewriteTcp } from "./rewrite.ts";

/**
 * Gives a packet other ends.
 * @param payloadAt where its transport header starts
 * @param available bytes from there that are at hand: of a packet that an ICMP
 *   error quotes, fewer than its header may have; what is cut off is left out
 * @param source address words at `source[i]`; `destination[j]` of the same family
 * @param sourcePort of an echo, as `destinationPort`, its identifier
 * @param form of a TCP checksum
 */
export function rewriteEnds(
  b: Uint8Array,
  at: number,
  payloadAt: number,
  available: number,
  protocol: number,
  source: Int32Array,
  i: number,
  sourcePort: number,
  destination: Int32Array,
  j: number,
  destinationPort: number,
  form: ChecksumForm,
): void {
  const change = isMappedIpv4(source, i)
    ? rewriteAddresses4(b, at, source[i + 3], destination[j + 3])
    : rewriteAddresses6(b, at, source, i, destination, j);
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
    const pseudo = protocol === Protocol.Icmp ? 0 : change;
    rewriteEcho(b, payloadAt, sourcePort, pseudo);
  } else if (protocol === Protocol.Udp) {
    rewriteUdp(b, payloadAt, sourcePort, destinationPort, change);
  } else if (available >= tcp.HEADER_LENGTH) {
    rewriteTcp(b, payloadAt, sourcePort, destinationPort, change, form);
  } else {
    writeU16be(b, payloadAt + tcp.SOURCE_PORT_AT, sourcePort);
    writeU16be(b, payloadAt + tcp.DESTINATION_PORT_AT, destinationPort);
  }
}

function rewriteUdp(
  b: Uint8Array,
  at: number,
  sourcePort: number,
  destinationPort: number,
  change: number,
): void {
  const field = udp.headerChecksum(b, at);
  // 0 stands for none.
  if (field !== 0) {
    const ports = 2 * 0xffff - readU16be(b, at) - readU16be(b, at + 2) +
      sourcePort + destinationPort;
    const checksum = ~fold((~field & 0xffff) + change + ports) & 0xffff;
    writeU16be(b, at + udp.CHECKSUM_AT, checksum === 0 ? 0xffff : checksum);
  }
  writeU16be(b, at + udp.SOURCE_PORT_AT, sourcePort);
  writeU16be(b, at + udp.DESTINATION_PORT_AT, destinationPort);
}

/** @param change what the addresses add; nothing in IPv4, whose ICMP has no pseudo-header. */
function rewriteEcho(
  b: Uint8Array,
  at: number,
  identifier: number,
  change: number,
): void {
  const field = icmp.headerChecksum(b, at);
  const before = icmp.identifier(b, at);
  const total = (~field & 0xffff) + change + 0xffff - before + identifier;
  writeU16be(b, at + icmp.CHECKSUM_AT, ~fold(total));
  writeU16be(b, at + icmp.IDENTIFIER_AT, identifier);
}
