/**
 * The transport checksum of a parsed packet, whatever its protocol and family:
 * TCP, UDP, ICMP, ICMPv6, with the pseudo-header where there is one (RFC 1071,
 * RFC 9293 3.1, RFC 768, RFC 8200 8.1).
 */
import { DropReason } from "../columns/drop_reason.ts";
import {
  fold,
  pseudoHeader4,
  pseudoHeader6,
  type Sum,
  sum,
} from "./checksum.ts";
import * as icmp from "./icmp.ts";
import * as icmpv6 from "./icmpv6.ts";
import * as ipv6 from "./ipv6.ts";
import { FragmentKind, type PacketView } from "./packet_view.ts";
import { Protocol } from "./protocol.ts";
import * as tcp from "./tcp.ts";
import * as udp from "./udp.ts";

/**
 * Checks the transport checksum of a parsed packet: TCP, UDP (0 is none in
 * IPv4, bad in IPv6), ICMP, ICMPv6. Fragments and other protocols pass.
 * @param add sums bytes: a kernel of the worker's, or the plain loop
 */
export function verifyTransport(
  b: Uint8Array,
  view: PacketView,
  add: Sum = sum,
): DropReason {
  if (view.fragment !== FragmentKind.None) return DropReason.None;
  const at = view.payloadAt;
  let length = view.payloadLength;
  switch (view.protocol) {
    case Protocol.Tcp:
      break;
    case Protocol.Udp:
      length = udp.datagramLength(b, at);
      if (udp.headerChecksum(b, at) === 0) {
        return view.version === 4 ? DropReason.None : DropReason.BadChecksum;
      }
      break;
    case Protocol.Icmp:
      return fold(add(b, at, length, 0)) === 0xffff
        ? DropReason.None
        : DropReason.BadChecksum;
    case Protocol.Icmpv6:
      break;
    default:
      return DropReason.None;
  }
  const total = add(b, at, length, pseudoHeader(b, view, length));
  return fold(total) === 0xffff ? DropReason.None : DropReason.BadChecksum;
}

/** Computes the transport checksum of a parsed packet anew; fragments and other protocols stay as they are. */
export function updateTransport(
  b: Uint8Array,
  view: PacketView,
  add: Sum = sum,
): void {
  if (view.fragment !== FragmentKind.None) return;
  const { payloadAt, payloadLength } = view;
  switch (view.protocol) {
    case Protocol.Tcp: {
      const pseudo = pseudoHeader(b, view, payloadLength);
      return tcp.updateChecksum(b, payloadAt, payloadLength, pseudo, add);
    }
    case Protocol.Udp: {
      const length = udp.datagramLength(b, payloadAt);
      const pseudo = pseudoHeader(b, view, length);
      return udp.updateChecksum(b, payloadAt, pseudo, add);
    }
    case Protocol.Icmp:
      return icmp.updateChecksum(b, payloadAt, payloadLength);
    case Protocol.Icmpv6: {
      const pseudo = pseudoHeader(b, view, payloadLength);
      icmpv6.updateChecksum(b, payloadAt, payloadLength, pseudo);
    }
  }
}

/**
 * The pseudo-header's sum for a parsed packet.
 * @param length bytes of the transport header and its payload
 */
export function pseudoHeader(
  b: Uint8Array,
  view: PacketView,
  length: number,
): number {
  if (view.version === 4) {
    return pseudoHeader4(view.source, view.destination, view.protocol, length);
  }
  const { at } = view;
  return pseudoHeader6(
    b,
    at + ipv6.SOURCE_AT,
    at + ipv6.DESTINATION_AT,
    view.protocol,
    length,
  );
}
