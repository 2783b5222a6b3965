/**
 * One look at an IP packet: everything that later stages ask, in a view that
 * is filled again for each packet and never allocates.
 *
 * IPv6 extension headers are walked as RFC 8200 orders, at most
 * {@linkcode ipv6.MAX_EXTENSION_HEADERS} of them. Refused on purpose: routing
 * headers with segments left (RFC 5095 for type 0; the others would make the
 * transport checksum refer to an address that the header doesn't show), a
 * second fragment header, a hop-by-hop header that isn't the first, and first
 * fragments without the whole fixed transport header (RFC 1858, RFC 7112).
 */
import { DropReason } from "../columns/drop_reason.ts";
import { readWords, setMappedIpv4 } from "./address.ts";
import {
  fold,
  pseudoHeader4,
  pseudoHeader6,
  type Sum,
  sum,
} from "./checksum.ts";
import * as icmp from "./icmp.ts";
import * as icmpv6 from "./icmpv6.ts";
import * as ipv4 from "./ipv4.ts";
import * as ipv6 from "./ipv6.ts";
import { Protocol } from "./protocol.ts";
import * as tcp from "./tcp.ts";
import * as udp from "./udp.ts";

/** Which part of a packet a view shows: {@linkcode PacketView.fragment}. */
export const FragmentKind = {
  /** The whole packet. */
  None: 0,
  /** The part with the transport header; others follow. */
  First: 1,
  /** A part without transport header. */
  Later: 2,
} as const;

const MAX_PAYLOAD = 65535;
/** What an ICMP error shows at least of the transport header (RFC 792). */
const EMBEDDED_TRANSPORT = 8;

/**
 * What {@linkcode parsePacket} found. Positions are indices into the bytes that
 * were parsed; after a drop reason other than None the contents mean nothing.
 */
export class PacketView {
  /** Where the IP header starts. */
  at = 0;
  /** 4 or 6. */
  version = 0;
  /** The transport protocol; in IPv6 what the extension headers end with. */
  protocol = 0;
  /** Bytes from the IP header's start to the transport header. */
  headerLength = 0;
  /** Bytes of the whole IP packet; bytes behind it are padding. */
  totalLength = 0;
  /** Address words of the source. */
  readonly sourceWords: Int32Array = new Int32Array(4);
  /** Address words of the destination. */
  readonly destinationWords: Int32Array = new Int32Array(4);
  /** TCP and UDP; 0 for others and for later fragments. */
  sourcePort = 0;
  /** TCP and UDP; 0 for others and for later fragments. */
  destinationPort = 0;
  /** Of an ICMP or ICMPv6 echo; else 0. */
  identifier = 0;
  /** Of ICMP and ICMPv6; -1 for others and for later fragments. */
  icmpType = -1;
  /** One of {@linkcode FragmentKind}. */
  fragment = 0;
  /** Where a fragment's payload belongs, in bytes. */
  fragmentOffset = 0;
  /** The identification that fragments share: 16 bits, in IPv6 32. */
  fragmentId = 0;
  /** 1 where later fragments follow. */
  moreFragments = 0;
  /** Where an IPv6 fragment header lies; -1 without one. */
  fragmentHeaderAt = -1;
  /** Where the next-header byte lies that names the IPv6 fragment header; -1 without one. */
  fragmentNamedAt = -1;
  /** TTL or hop limit. */
  hopLimit = 0;
  /** Where the transport header, or a later fragment's payload, starts. */
  payloadAt = 0;
  /** Bytes from there to the packet's end. */
  payloadLength = 0;

  /** The IPv4 source address; in IPv6 the last word. */
  get source(): number {
    return this.sourceWords[3] >>> 0;
  }

  /** The IPv4 destination address; in IPv6 the last word. */
  get destination(): number {
    return this.destinationWords[3] >>> 0;
  }
}

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

/**
 * Checks the transport checksum of a parsed packet: TCP, UDP (0 is none in
 * IPv4, bad in IPv6), ICMP, ICMPv6. Fragments and other protocols pass.
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

/** Fills the view from an IPv4 header whose bytes are known to be at hand. */
function readIpv4(
  b: Uint8Array,
  at: number,
  end: number,
  view: PacketView,
): void {
  const header = ipv4.headerLength(b, at);
  const offset = ipv4.fragmentOffset(b, at);
  const more = ipv4.moreFragments(b, at);
  setMappedIpv4(view.sourceWords, 0, ipv4.source(b, at));
  setMappedIpv4(view.destinationWords, 0, ipv4.destination(b, at));
  view.at = at;
  view.version = 4;
  view.protocol = ipv4.protocol(b, at);
  view.totalLength = end - at;
  view.hopLimit = ipv4.timeToLive(b, at);
  view.fragmentHeaderAt = -1;
  view.fragmentNamedAt = -1;
  setFragment(view, offset, more, ipv4.identification(b, at));
  setPayload(view, at + header, end);
}

/** Fills the view from an IPv6 header at hand and walks its extension headers. */
function readIpv6(
  b: Uint8Array,
  at: number,
  end: number,
  view: PacketView,
): DropReason {
  readWords(b, at + ipv6.SOURCE_AT, view.sourceWords, 0);
  readWords(b, at + ipv6.DESTINATION_AT, view.destinationWords, 0);
  view.at = at;
  view.version = 6;
  view.totalLength = end - at;
  view.hopLimit = ipv6.hopLimit(b, at);
  view.fragmentHeaderAt = -1;
  view.fragmentNamedAt = -1;
  setFragment(view, 0, false, 0);

  let next = ipv6.nextHeader(b, at);
  let namedAt = at + ipv6.NEXT_HEADER_AT;
  let here = at + ipv6.HEADER_LENGTH;
  for (let walked = 0; ipv6.isExtensionHeader(next); walked++) {
    if (walked === ipv6.MAX_EXTENSION_HEADERS) {
      return DropReason.BadExtensionHeader;
    }
    if (here + 8 > end) return DropReason.BadExtensionHeader;
    const length = ipv6.extensionLength(b, here, next);
    if (here + length > end) return DropReason.BadExtensionHeader;
    if (next === Protocol.HopByHop && walked > 0) {
      return DropReason.BadExtensionHeader;
    }
    if (next === Protocol.Routing && b[here + 3] !== 0) {
      return DropReason.BadExtensionHeader;
    }
    if (next === Protocol.Fragment) {
      if (view.fragmentHeaderAt >= 0) return DropReason.BadExtensionHeader;
      view.fragmentHeaderAt = here;
      view.fragmentNamedAt = namedAt;
      const offset = ipv6.fragmentOffset(b, here);
      const more = ipv6.moreFragments(b, here);
      setFragment(view, offset, more, ipv6.fragmentIdentification(b, here));
    }
    namedAt = here;
    next = b[here];
    here += length;
    if (view.fragment === FragmentKind.Later) break;
  }
  view.protocol = next;
  setPayload(view, here, end);
  return DropReason.None;
}

function setFragment(
  view: PacketView,
  offset: number,
  more: boolean,
  id: number,
): void {
  view.fragment = offset > 0
    ? FragmentKind.Later
    : more
    ? FragmentKind.First
    : FragmentKind.None;
  view.fragmentOffset = offset;
  view.moreFragments = more ? 1 : 0;
  view.fragmentId = id;
}

function setPayload(view: PacketView, payloadAt: number, end: number): void {
  view.headerLength = payloadAt - view.at;
  view.payloadAt = payloadAt;
  view.payloadLength = end - payloadAt;
  view.sourcePort = 0;
  view.destinationPort = 0;
  view.identifier = 0;
  view.icmpType = -1;
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
