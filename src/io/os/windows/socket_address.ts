/**
 * Socket addresses of Windows: struct sockaddr_in and sockaddr_in6 to and from
 * address words (4 words, IPv4 as ::ffff:a.b.c.d) and ports.
 *
 *     sockaddr_in    family 2 | port 2 be | address 4 be | zero 8
 *     sockaddr_in6   family 2 | port 2 be | flow 4 | address 16 be | scope 4
 */
import { AF } from "../../../../ffi/windows/ws2_32.ts";
import {
  sockaddrIn,
  sockaddrIn6,
} from "../../../../ffi/windows/layouts/ws2_32.ts";
import {
  readU16be,
  readU16le,
  readU32be,
  writeU16be,
  writeU16le,
  writeU32be,
} from "../../../core/wire/bytes.ts";

/** Bytes to keep for an address of either family. */
export const SOCKET_ADDRESS_ROOM = 32;

const V4_PORT_AT = sockaddrIn.at.sin_port;
const V4_ADDRESS_AT = sockaddrIn.at.sin_addr;
const V6_FLOW_AT = sockaddrIn6.at.sin6_flowinfo;
const V6_ADDRESS_AT = sockaddrIn6.at.sin6_addr;
const V6_SCOPE_AT = sockaddrIn6.at.sin6_scope_id;
const MAPPED = 0xffff;

/**
 * Writes an address of the socket's own family; an IPv6 socket takes IPv4
 * addresses in their mapped form.
 * @returns its length in bytes.
 */
export function writeSocketAddress(
  b: Uint8Array,
  at: number,
  family: 4 | 6,
  words: Int32Array,
  i: number,
  port: number,
): number {
  writeU16be(b, at + V4_PORT_AT, port);
  if (family === 4) {
    writeU16le(b, at, AF.INET);
    writeU32be(b, at + V4_ADDRESS_AT, words[i + 3]);
    writeU32be(b, at + 8, 0);
    writeU32be(b, at + 12, 0);
    return sockaddrIn.size;
  }
  writeU16le(b, at, AF.INET6);
  writeU32be(b, at + V6_FLOW_AT, 0);
  writeU32be(b, at + V6_ADDRESS_AT, words[i]);
  writeU32be(b, at + V6_ADDRESS_AT + 4, words[i + 1]);
  writeU32be(b, at + V6_ADDRESS_AT + 8, words[i + 2]);
  writeU32be(b, at + V6_ADDRESS_AT + 12, words[i + 3]);
  writeU32be(b, at + V6_SCOPE_AT, 0);
  return sockaddrIn6.size;
}

/** Reads the address words; all zero where the family is neither of both. */
export function readSocketAddress(
  b: Uint8Array,
  at: number,
  words: Int32Array,
  i: number,
): void {
  const family = readU16le(b, at);
  if (family === AF.INET6) {
    words[i] = readU32be(b, at + V6_ADDRESS_AT);
    words[i + 1] = readU32be(b, at + V6_ADDRESS_AT + 4);
    words[i + 2] = readU32be(b, at + V6_ADDRESS_AT + 8);
    words[i + 3] = readU32be(b, at + V6_ADDRESS_AT + 12);
    return;
  }
  const known = family === AF.INET;
  words[i] = 0;
  words[i + 1] = 0;
  words[i + 2] = known ? MAPPED : 0;
  words[i + 3] = known ? readU32be(b, at + V4_ADDRESS_AT) : 0;
}

/** Reads the port; it lies at the same place in both families. */
export function readSocketPort(b: Uint8Array, at: number): number {
  return readU16be(b, at + V4_PORT_AT);
}
