/**
 * Source and destination of an IP packet whose inner headers don't matter: what
 * cryptokey routing looks at. IPv4 (RFC 791) and IPv6 (RFC 8200) fixed headers.
 */
import { DropReason } from "../columns/drop_reason.ts";
import { isMappedIpv4, readWords, setMappedIpv4 } from "../wire/address.ts";
import { readU32be } from "../wire/bytes.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";

/**
 * Reads the source of a packet into address words.
 * @returns why the packet can't be used; None where `words` holds the source.
 */
export function readSource(
  b: Uint8Array,
  at: number,
  length: number,
  words: Int32Array,
): DropReason {
  // An IPv6 header must not pass for IPv4 by a mapped address (RFC 4038, 4.2).
  return readEnd(
    b,
    at,
    length,
    words,
    ipv4.SOURCE_AT,
    ipv6.SOURCE_AT,
    DropReason.SpoofedSource,
  );
}

/**
 * Reads the destination of a packet into address words.
 * @returns why the packet can't be used; None where `words` holds the destination.
 */
export function readDestination(
  b: Uint8Array,
  at: number,
  length: number,
  words: Int32Array,
): DropReason {
  return readEnd(
    b,
    at,
    length,
    words,
    ipv4.DESTINATION_AT,
    ipv6.DESTINATION_AT,
    DropReason.NoPeer,
  );
}

/** Bytes of the packet by its own header, without padding; read a source or destination first. */
export function packetLength(b: Uint8Array, at: number): number {
  return b[at] >>> 4 === 4
    ? ipv4.totalLength(b, at)
    : ipv6.HEADER_LENGTH + ipv6.payloadLength(b, at);
}

/** @param mapped what is said of a mapped address in an IPv6 header. */
function readEnd(
  b: Uint8Array,
  at: number,
  length: number,
  words: Int32Array,
  at4: number,
  at6: number,
  mapped: DropReason,
): DropReason {
  const reason = checkForm(b, at, length);
  if (reason !== DropReason.None) return reason;
  if (b[at] >>> 4 === 4) {
    setMappedIpv4(words, 0, readU32be(b, at + at4));
    return DropReason.None;
  }
  readWords(b, at + at6, words, 0);
  return isMappedIpv4(words, 0) ? mapped : DropReason.None;
}

function checkForm(b: Uint8Array, at: number, length: number): DropReason {
  if (length < 1) return DropReason.TooShort;
  switch (b[at] >>> 4) {
    case 4:
      return ipv4.validate(b, at, length);
    case 6:
      return ipv6.validate(b, at, length);
    default:
      return DropReason.UnknownVersion;
  }
}
