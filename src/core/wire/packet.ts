/**
 * One look at an IP packet: everything that later stages ask, put into a view
 * that is filled again for each packet; nothing is allocated.
 *
 * The IP headers are read by `ip_headers.ts`. Here is what must hold of them
 * together, and what is read of the transport header. Refused on purpose: first
 * fragments without the whole fixed transport header (RFC 1858, RFC 7112).
 */
import { DropReason } from "../columns/drop_reason.ts";
import * as icmp from "./icmp.ts";
import * as icmpv6 from "./icmpv6.ts";
import { readIpv4, readIpv6 } from "./ip_headers.ts";
import * as ipv4 from "./ipv4.ts";
import * as ipv6 from "./ipv6.ts";
import { FragmentKind, type PacketView } from "./packet_view.ts";
import { Protocol } from "./protocol.ts";
import * as tcp from "./tcp.ts";
import * as udp from "./udp.ts";

const MAX_PAYLOAD = 65535;
/** What an ICMP error shows at least of the transport header (RFC 792). */
const EMBEDDED_TRANSPORT = 8;

/**
 * Reads the IP packet at `at` and checks its lengths, an IPv4 header's checksum
 * and the transport header's form, not the transport checksum.
 * @param length bytes at hand; what is past the packet's own length is padding
 * @returns None, or why the packet can't be used
 */
export function parsePacket(
  b: Uint8Array,
  at: number,
  length: number,
  view: PacketView,
): DropReason {
  if (length < 1 || at + length > b.length) return DropReason.TooShort;
  const version = b[at] >>> 4;
  let reason: DropReason;
  if (version === 4) {
    reason = ipv4.validate(b, at, length);
    if (reason !== DropReason.None) return reason;
    readIpv4(b, at, at + ipv4.totalLength(b, at), view);
  } else if (version === 6) {
    reason = ipv6.validate(b, at, length);
    if (reason !== DropReason.None) return reason;
    const end = at + ipv6.HEADER_LENGTH + ipv6.payloadLength(b, at);
    reason = readIpv6(b, at, end, view);
    if (reason !== DropReason.None) return reason;
  } else {
    return DropReason.UnknownVersion;
  }
  if (view.fragment !== FragmentKind.None) {
    reason = checkFragment(view);
    if (reason !== DropReason.None) return reason;
  }
  reason = checkTransport(b, view);
  if (reason === DropReason.None) readTransport(b, view);
  return reason;
}

/**
 * Reads the packet that an ICMP error carries: its end may be cut off and its
 * checksum stale, so only the headers are asked for, with 8 bytes of transport.
 * `totalLength` is what the packet's header claims; `payloadLength` is what is
 * at hand.
 */
export function parseEmbedded(
  b: Uint8Array,
  at: number,
  length: number,
  view: PacketView,
): DropReason {
  if (length < 1 || at + length > b.length) return DropReason.TooShort;
  const version = b[at] >>> 4;
  if (version === 4) {
    if (length < ipv4.HEADER_LENGTH) return DropReason.TooShort;
    const header = ipv4.headerLength(b, at);
    if (header < ipv4.HEADER_LENGTH) return DropReason.BadHeaderLength;
    if (header > length) return DropReason.TooShort;
    const total = ipv4.totalLength(b, at);
    if (total < header) return DropReason.BadTotalLength;
    readIpv4(b, at, at + Math.min(total, length), view);
    view.totalLength = total;
  } else if (version === 6) {
    if (length < ipv6.HEADER_LENGTH) return DropReason.TooShort;
    const total = ipv6.HEADER_LENGTH + ipv6.payloadLength(b, at);
    const reason = readIpv6(b, at, at + Math.min(total, length), view);
    if (reason !== DropReason.None) return reason;
    view.totalLength = total;
  } else {
    return DropReason.UnknownVersion;
  }
  if (view.fragment === FragmentKind.Later) return DropReason.None;
  if (view.payloadLength < EMBEDDED_TRANSPORT) return DropReason.TooShort;
  readTransport(b, view);
  return DropReason.None;
}

/** A fragment carries something, whole units but for the last, and ends in 64 KB. */
function checkFragment(view: PacketView): DropReason {
  const { payloadLength } = view;
  if (payloadLength === 0) return DropReason.BadTotalLength;
  if (view.moreFragments === 1 && payloadLength % 8 !== 0) {
    return DropReason.BadTotalLength;
  }
  if (view.fragmentOffset + payloadLength > MAX_PAYLOAD) {
    return DropReason.BadTotalLength;
  }
  return DropReason.None;
}

/** Checks the transport header's form, in a first fragment as far as it shows. */
function checkTransport(b: Uint8Array, view: PacketView): DropReason {
  if (view.fragment === FragmentKind.Later) return DropReason.None;
  const { payloadAt, payloadLength } = view;
  const length = view.fragment === FragmentKind.First
    ? MAX_PAYLOAD
    : payloadLength;
  switch (view.protocol) {
    case Protocol.Tcp:
      if (payloadLength < tcp.HEADER_LENGTH) return DropReason.TooShort;
      return tcp.validate(b, payloadAt, length);
    case Protocol.Udp:
      if (payloadLength < udp.HEADER_LENGTH) return DropReason.TooShort;
      return udp.validate(b, payloadAt, length);
    case Protocol.Icmp:
      return icmp.validate(b, payloadAt, payloadLength);
    case Protocol.Icmpv6:
      return icmpv6.validate(b, payloadAt, payloadLength);
    default:
      return DropReason.None;
  }
}

/** Reads what tells flows apart; 8 bytes of transport are at hand. */
function readTransport(b: Uint8Array, view: PacketView): void {
  if (view.fragment === FragmentKind.Later) return;
  const at = view.payloadAt;
  switch (view.protocol) {
    case Protocol.Tcp:
    case Protocol.Udp:
      view.sourcePort = udp.sourcePort(b, at);
      view.destinationPort = udp.destinationPort(b, at);
      break;
    case Protocol.Icmp:
      view.icmpType = icmp.type(b, at);
      if (icmp.isEcho(view.icmpType)) view.identifier = icmp.identifier(b, at);
      break;
    case Protocol.Icmpv6:
      view.icmpType = icmpv6.type(b, at);
      if (icmpv6.isEcho(view.icmpType)) {
        view.identifier = icmpv6.identifier(b, at);
      }
      break;
  }
}
