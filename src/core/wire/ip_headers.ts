/**
 * The headers before the transport, read into a view: IPv4's, or IPv6's with
 * its extension headers.
 *
 * IPv6 extension headers are walked as RFC 8200 orders, at most
 * {@linkcode ipv6.MAX_EXTENSION_HEADERS} of them. Refused on purpose: routing
 * headers with segments left (RFC 5095 for type 0; the others would make the
 * transport checksum refer to an address that the header doesn't show), a
 * second fragment header, and a hop-by-hop header that isn't the first.
 */
import { DropReason } from "../columns/drop_reason.ts";
import { readWords, setMappedIpv4 } from "./address.ts";
import * as ipv4 from "./ipv4.ts";
import * as ipv6 from "./ipv6.ts";
import { FragmentKind, type PacketView } from "./packet_view.ts";
import { Protocol } from "./protocol.ts";

/**
 * Fills the view from an IPv4 header whose bytes are known to be at hand.
 * @param end where the packet's bytes at hand end
 */
export function readIpv4(
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

/**
 * Fills the view from an IPv6 header at hand and walks its extension headers.
 * @param end where the packet's bytes at hand end
 * @returns None, or BadExtensionHeader
 */
export function readIpv6(
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
