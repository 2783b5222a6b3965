/**
 * ICMP errors about a packet: making them (RFC 792, RFC 1812 section 4.3.2,
 * RFC 4443 section 2.4) and finding the packet that a received one is about.
 */
import { DropReason } from "../columns/drop_reason.ts";
import {
  type AddressWords,
  isMulticast,
  isUnspecified,
  writeWords,
} from "./address.ts";
import { copyBytes } from "./bytes.ts";
import { pseudoHeader6 } from "./checksum.ts";
import * as icmp from "./icmp.ts";
import * as icmpv6 from "./icmpv6.ts";
import * as ipv4 from "./ipv4.ts";
import * as ipv6 from "./ipv6.ts";
import { parseEmbedded } from "./packet.ts";
import { FragmentKind, type PacketView } from "./packet_view.ts";
import { Protocol } from "./protocol.ts";

/** The greatest ICMP error over IPv4, IP header included (RFC 1812, section 4.3.2.3). */
export const MAX_ERROR_4 = 576;
/** The greatest ICMPv6 error, IP header included: the IPv6 minimum MTU. */
export const MAX_ERROR_6 = 1280;

const ERROR_HOP_LIMIT = 64;
/** Precedence 6, internetwork control (RFC 1812, section 4.3.2.5). */
const ERROR_TYPE_OF_SERVICE = 0xc0;

/**
 * Whether a parsed packet may be answered with an ICMP error: not an ICMP error
 * itself, not a later fragment, not to a group, not from an address that can't
 * be answered.
 */
export function mayAnswerWithError(b: Uint8Array, view: PacketView): boolean {
  if (view.fragment === FragmentKind.Later) return false;
  if (isMulticast(view.destinationWords) || isMulticast(view.sourceWords)) {
    return false;
  }
  if (isUnspecified(view.sourceWords)) return false;
  if (view.version === 4) {
    const net = view.source >>> 24;
    if (
      net === 0 || net === 127 || net >= 224 || view.destination === 0xffffffff
    ) return false;
    return view.protocol !== Protocol.Icmp ||
      !icmp.isError(icmp.type(b, view.payloadAt));
  }
  if (view.protocol !== Protocol.Icmpv6) return true;
  const type = icmpv6.type(b, view.payloadAt);
  return !icmpv6.isError(type) && type !== icmpv6.Type.Redirect;
}

/**
 * Writes an IPv4 packet with an ICMP error to the original's source.
 * @param out where it goes: {@linkcode MAX_ERROR_4} bytes at `at`
 * @param gatewayAddress the source of the error
 * @param extra32 the MTU of «fragmentation needed», else 0
 * @param original bytes of the packet that it is about, an IPv4 header first
 * @param originalLength bytes at hand, at least the header
 * @returns bytes written
 */
export function emitError4(
  out: Uint8Array,
  at: number,
  gatewayAddress: number,
  type: number,
  code: number,
  extra32: number,
  original: Uint8Array,
  originalAt: number,
  originalLength: number,
): number {
  const before = ipv4.HEADER_LENGTH + icmp.HEADER_LENGTH;
  const quoted = Math.min(
    originalLength,
    ipv4.totalLength(original, originalAt),
    MAX_ERROR_4 - before,
  );
  const to = ipv4.source(original, originalAt);
  copyBytes(out, at + before, original, originalAt, quoted);
  icmp.emit(
    out,
    at + ipv4.HEADER_LENGTH,
    type,
    code,
    extra32,
    icmp.HEADER_LENGTH + quoted,
  );
  const total = before + quoted;
  ipv4.emit(out, at, total, Protocol.Icmp, ERROR_HOP_LIMIT, gatewayAddress, to);
  out[at + ipv4.TYPE_OF_SERVICE_AT] = ERROR_TYPE_OF_SERVICE;
  ipv4.updateHeaderChecksum(out, at);
  return total;
}

/**
 * Writes an IPv6 packet with an ICMPv6 error to the original's source.
 * @param out where it goes: {@linkcode MAX_ERROR_6} bytes at `at`
 * @param gatewayWords the source of the error, four words from index 0
 * @param extra32 the MTU of «packet too big», else 0
 * @param original bytes of the packet that it is about, an IPv6 header first
 * @param originalLength bytes at hand, at least the header
 * @returns bytes written
 */
export function emitError6(
  out: Uint8Array,
  at: number,
  gatewayWords: AddressWords,
  type: number,
  code: number,
  extra32: number,
  original: Uint8Array,
  originalAt: number,
  originalLength: number,
): number {
  const before = ipv6.HEADER_LENGTH + icmpv6.HEADER_LENGTH;
  const quoted = Math.min(
    originalLength,
    ipv6.HEADER_LENGTH + ipv6.payloadLength(original, originalAt),
    MAX_ERROR_6 - before,
  );
  const length = icmpv6.HEADER_LENGTH + quoted;
  const sourceAt = at + ipv6.SOURCE_AT;
  const destinationAt = at + ipv6.DESTINATION_AT;
  copyBytes(out, at + before, original, originalAt, quoted);
  ipv6.emit(out, at, length, Protocol.Icmpv6, ERROR_HOP_LIMIT);
  writeWords(out, sourceAt, gatewayWords, 0);
  copyBytes(out, destinationAt, out, at + before + ipv6.SOURCE_AT, 16);
  const pseudo = pseudoHeader6(
    out,
    sourceAt,
    destinationAt,
    Protocol.Icmpv6,
    length,
  );
  icmpv6.emit(
    out,
    at + ipv6.HEADER_LENGTH,
    type,
    code,
    extra32,
    length,
    pseudo,
  );
  return ipv6.HEADER_LENGTH + length;
}

/**
 * Where the packet starts that a parsed ICMP or ICMPv6 error is about. Its
 * whole IPv4 header, or its fixed IPv6 header, is at hand, and 8 bytes behind.
 * @returns its position, or -1 where the packet is no such error
 */
export function embeddedAt(b: Uint8Array, view: PacketView): number {
  if (view.fragment !== FragmentKind.None) return -1;
  const at = view.payloadAt + icmp.HEADER_LENGTH;
  const length = view.payloadLength - icmp.HEADER_LENGTH;
  if (view.version === 4) {
    if (view.protocol !== Protocol.Icmp || !icmp.isError(view.icmpType)) {
      return -1;
    }
    if (length < ipv4.HEADER_LENGTH || b[at] >>> 4 !== 4) return -1;
    const header = ipv4.headerLength(b, at);
    if (header < ipv4.HEADER_LENGTH || length < header + 8) return -1;
    return at;
  }
  if (view.protocol !== Protocol.Icmpv6 || !icmpv6.isError(view.icmpType)) {
    return -1;
  }
  if (length < ipv6.HEADER_LENGTH + 8 || b[at] >>> 4 !== 6) return -1;
  return at;
}

/**
 * Reads the packet that a parsed ICMP error is about into a second view.
 * @returns None, or TooShort where there is none, or what is wrong with it
 */
export function readEmbedded(
  b: Uint8Array,
  view: PacketView,
  embedded: PacketView,
): DropReason {
  const at = embeddedAt(b, view);
  if (at < 0) return DropReason.TooShort;
  return parseEmbedded(
    b,
    at,
    view.payloadAt + view.payloadLength - at,
    embedded,
  );
}
