/**
 * The header of datagrams to and from a SOCKS5 proxy (RFC 1928 section 7).
 *
 *     +-----+------+------+----------+----------+---------+
 *     | RSV | FRAG | ATYP | ADDRESS  |   PORT   | payload |
 *     |  2  |  1   |  1   | 4/16/1+n |    2     |         |
 *     +-----+------+------+----------+----------+---------+
 *
 * Fragments (FRAG not 0) are optional in the RFC and dropped here, as it says
 * of implementations without them. Nothing here allocates or throws.
 */
import {
  type AddressWords,
  isMappedIpv4,
  readWords,
  setMappedIpv4,
  writeWords,
} from "../wire/address.ts";
import { readU16be, readU32be, writeU16be, writeU32be } from "../wire/bytes.ts";
import { AddressType } from "./socks5.ts";

/** Length of the header before an IPv4 address's payload. */
export const DATAGRAM_HEADER_4 = 10;
/** Length of the header before an IPv6 address's payload. */
export const DATAGRAM_HEADER_6 = 22;
/** The longest header that a proxy can send: a name of 255 bytes. */
export const LONGEST_DATAGRAM_HEADER = 262;

/** What is wrong with a datagram; 0 nothing. */
export const DatagramFault = {
  None: 0,
  /** Shorter than its header says. */
  Truncated: 1,
  /** A part of a datagram (FRAG not 0). */
  Fragment: 2,
  /** An address type that is none. */
  AddressType: 3,
} as const;

/** A reusable view of one datagram. */
export class SocksDatagram {
  /** One of {@linkcode AddressType}. */
  addressType = 0;
  /** Four address words; all zero where the address is a name. */
  readonly words: Int32Array = new Int32Array(4);
  port = 0;
  /** Where the name's bytes are, where the type is a name; 0 bytes else. */
  nameAt = 0;
  nameLength = 0;
  payloadAt = 0;
  payloadLength = 0;
}

/** Length of the header for an address. */
export function datagramHeaderLength(words: AddressWords, i: number): number {
  return isMappedIpv4(words, i) ? DATAGRAM_HEADER_4 : DATAGRAM_HEADER_6;
}

/**
 * Writes the header for an address.
 * @param bytes has room for {@linkcode datagramHeaderLength}
 * @returns the header's length.
 */
export function emitDatagramHeader(
  bytes: Uint8Array,
  at: number,
  words: AddressWords,
  i: number,
  port: number,
): number {
  bytes[at] = 0;
  bytes[at + 1] = 0;
  bytes[at + 2] = 0;
  if (isMappedIpv4(words, i)) {
    bytes[at + 3] = AddressType.Ipv4;
    writeU32be(bytes, at + 4, words[i + 3]);
    writeU16be(bytes, at + 8, port);
    return DATAGRAM_HEADER_4;
  }
  bytes[at + 3] = AddressType.Ipv6;
  writeWords(bytes, at + 4, words, i);
  writeU16be(bytes, at + 20, port);
  return DATAGRAM_HEADER_6;
}

/**
 * Reads a datagram of `length` bytes at `at` into the view.
 * @returns a {@linkcode DatagramFault}; the view holds only where it is None.
 */
export function parseDatagram(
  bytes: Uint8Array,
  at: number,
  length: number,
  view: SocksDatagram,
): number {
  if (length < 5) return DatagramFault.Truncated;
  if (bytes[at + 2] !== 0) return DatagramFault.Fragment;
  const type = bytes[at + 3];
  const addressLength = addressLengthOf(type, bytes[at + 4]);
  if (addressLength === 0) return DatagramFault.AddressType;
  const headerLength = 4 + addressLength + 2;
  if (length < headerLength) return DatagramFault.Truncated;
  view.addressType = type;
  view.nameAt = at + 5;
  view.nameLength = 0;
  if (type === AddressType.Ipv4) {
    setMappedIpv4(view.words, 0, readU32be(bytes, at + 4));
  } else if (type === AddressType.Ipv6) {
    readWords(bytes, at + 4, view.words, 0);
  } else {
    view.words.fill(0);
    view.nameLength = addressLength - 1;
  }
  view.port = readU16be(bytes, at + headerLength - 2);
  view.payloadAt = at + headerLength;
  view.payloadLength = length - headerLength;
  return DatagramFault.None;
}

/** Bytes of the address field; 0 where there is no such type. */
function addressLengthOf(type: number, first: number): number {
  if (type === AddressType.Ipv4) return 4;
  if (type === AddressType.Ipv6) return 16;
  return type === AddressType.Name ? 1 + first : 0;
}
