/**
 * Both directions of the NAT, side by side (RFC 4787, RFC 5508).
 *
 *     outbound   [IP][UDP] payload   ->  payload for the mapping's socket
 *     inbound    payload             ->  [IP][UDP] payload for the client
 *
 *     outbound   [IP] echo, the client's identifier  ->  echo, the mapping's
 *     inbound    echo reply, the mapping's           ->  [IP] reply, the client's
 *
 * The socket itself is the external address and port. Invariant of outbound
 * rows: the packet's own IP header, in its plain form, and its UDP header still
 * lie right before `offset`, so that a failed send can be answered about the
 * packet as the client sent it ({@linkcode restoreOutbound}).
 */
import type { Batch } from "../columns/batch.ts";
import { Verdict } from "../columns/verdict.ts";
import { writeU16be } from "../wire/bytes.ts";
import { type Sum, sum } from "../wire/checksum.ts";
import * as icmp from "../wire/icmp.ts";
import * as icmpv6 from "../wire/icmpv6.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import type { PacketView } from "../wire/packet_view.ts";
import { Protocol } from "../wire/protocol.ts";
import * as udp from "../wire/udp.ts";
import {
  emitIp,
  ipHeaderLength,
  makePlain,
  pseudoHeaderOf,
} from "./headers.ts";
import type { NatTable } from "./nat.ts";

/**
 * Turns a row from a client's whole packet (parsed into `view`, checksums good)
 * into what its mapping's socket sends: ToUdp or ToEcho.
 * @param dontFragment 1 where the packet must stay whole on its way
 */
export function translateOutbound(
  batch: Batch,
  row: number,
  view: PacketView,
  nat: NatTable,
  mapping: number,
  dontFragment: number,
): void {
  const { bytes } = batch;
  const at = view.payloadAt;
  makePlain(bytes, view);
  if (view.protocol === Protocol.Udp) {
    batch.offset[row] = at + udp.HEADER_LENGTH;
    batch.length[row] = udp.datagramLength(bytes, at) - udp.HEADER_LENGTH;
    batch.decide(row, Verdict.ToUdp, mapping);
  } else {
    icmp.setIdentifier(bytes, at, nat.externalPort[mapping]);
    batch.offset[row] = at;
    batch.length[row] = view.payloadLength;
    batch.decide(row, Verdict.ToEcho, mapping);
  }
  for (let word = 0; word < 4; word++) {
    batch.remote[row * 4 + word] = view.destinationWords[word];
  }
  batch.remotePort[row] = view.destinationPort;
  batch.hopLimit[row] = view.hopLimit - 1;
  batch.dontFragment[row] = dontFragment;
}

/**
 * Turns a row from a payload (UDP) or an echo reply, received by a mapping's
 * socket from `remote`, into the packet for the client. The headers are written
 * before `offset`: 28 bytes (UDP) or 20 (echo), 48 or 40 in IPv6.
 * @param identification for an IPv4 header
 * @returns false where the packet would be longer than IP allows
 */
export function translateInbound(
  batch: Batch,
  row: number,
  nat: NatTable,
  mapping: number,
  hopLimit: number,
  identification: number,
  add: Sum = sum,
): boolean {
  const { bytes, remote } = batch;
  const client = mapping * 4;
  const protocol = nat.protocol[mapping];
  const isUdp = protocol === Protocol.Udp;
  const transportAt = batch.offset[row] - (isUdp ? udp.HEADER_LENGTH : 0);
  const length = batch.length[row] + (isUdp ? udp.HEADER_LENGTH : 0);
  const header = ipHeaderLength(nat.internal, client);
  if (length + (header === ipv4.HEADER_LENGTH ? header : 0) > 65535) {
    return false;
  }

  const at = transportAt - header;
  emitIp(
    bytes,
    at,
    remote,
    row * 4,
    nat.internal,
    client,
    protocol,
    length,
    hopLimit,
    identification,
  );
  if (isUdp) {
    udp.emit(
      bytes,
      transportAt,
      batch.remotePort[row],
      nat.internalPort[mapping],
      length,
    );
    udp.updateChecksum(
      bytes,
      transportAt,
      pseudoHeaderOf(bytes, at, protocol, length),
      add,
    );
  } else {
    setEchoIdentifier(
      bytes,
      at,
      transportAt,
      length,
      nat.internalPort[mapping],
    );
  }
  batch.offset[row] = at;
  batch.length[row] = header + length;
  return true;
}

/** Gives an outbound row its packet back, as the client sent it but for options. */
export function restoreOutbound(
  batch: Batch,
  row: number,
  nat: NatTable,
): void {
  const { bytes } = batch;
  const mapping = batch.target[row];
  const header = ipHeaderLength(nat.internal, mapping * 4);
  let at = batch.offset[row];
  if (batch.verdict[row] === Verdict.ToUdp) at -= udp.HEADER_LENGTH;
  else icmp.setIdentifier(bytes, at, nat.internalPort[mapping]);
  at -= header;
  batch.offset[row] = at;
  batch.length[row] = bytes[at] >>> 4 === 4
    ? ipv4.totalLength(bytes, at)
    : ipv6.HEADER_LENGTH + ipv6.payloadLength(bytes, at);
}

/**
 * Writes the packet that a client had sent, as far as `payloadLength` bytes of
 * its payload (or of its ICMP message) are known: what an ICMP error from the
 * outside carries once it is translated (RFC 5508 REQ-4 a).
 * @param at where its IP header goes; the bytes of the payload already lie
 *   behind the headers
 * @param destination where it went, address words of the mapping's family
 * @returns bytes of the packet
 */
export function restoreEmbedded(
  b: Uint8Array,
  at: number,
  nat: NatTable,
  mapping: number,
  destination: Int32Array,
  destinationPort: number,
  payloadLength: number,
): number {
  const client = mapping * 4;
  const protocol = nat.protocol[mapping];
  const header = ipHeaderLength(nat.internal, client);
  const transportAt = at + header;
  const isUdp = protocol === Protocol.Udp;
  const length = isUdp ? udp.HEADER_LENGTH + payloadLength : payloadLength;
  emitIp(b, at, nat.internal, client, destination, 0, protocol, length, 1, 0);
  if (isUdp) {
    udp.emit(
      b,
      transportAt,
      nat.internalPort[mapping],
      destinationPort,
      length,
    );
    udp.updateChecksum(b, transportAt, pseudoHeaderOf(b, at, protocol, length));
  } else {
    setEchoIdentifier(b, at, transportAt, length, nat.internalPort[mapping]);
  }
  return header + length;
}

/** Sets an echo's identifier and computes its checksum for the header at `at`. */
function setEchoIdentifier(
  b: Uint8Array,
  at: number,
  icmpAt: number,
  length: number,
  identifier: number,
): void {
  writeU16be(b, icmpAt + icmp.IDENTIFIER_AT, identifier);
  if (b[at] >>> 4 === 4) {
    icmp.updateChecksum(b, icmpAt, length);
  } else {
    const pseudo = pseudoHeaderOf(b, at, Protocol.Icmpv6, length);
    icmpv6.updateChecksum(b, icmpAt, length, pseudo);
  }
}
