/**
 * Socket addresses: struct sockaddr_in and sockaddr_in6 to and from address words
 * (4 words, IPv4 as ::ffff:a.b.c.d) and ports. Systems differ in their numbers of
 * families.
 *
 *     sockaddr_in    family 2 | port 2 be | address 4 be | zero 8
 *     sockaddr_in6   family 2 | port 2 be | flow 4 | address 16 be | scope 4
 */
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

/** What a system says of its addresses. */
export interface SocketAddressLayout {
  readonly families: { readonly INET: number; readonly INET6: number };
  readonly sockaddrIn: {
    readonly size: number;
    readonly at: { readonly sin_port: number; readonly sin_addr: number };
  };
  readonly sockaddrIn6: {
    readonly size: number;
    readonly at: {
      readonly sin6_flowinfo: number;
      readonly sin6_addr: number;
      readonly sin6_scope_id: number;
    };
  };
}

/** Socket addresses in bytes. */
export interface SocketAddresses {
  /**
   * Writes an address of the socket's own family; an IPv6 socket takes IPv4
   * addresses in their mapped form.
   * @returns its length in bytes.
   */
  writeSocketAddress(
    b: Uint8Array,
    at: number,
    family: 4 | 6,
    words: Int32Array,
    i: number,
    port: number,
  ): number;
  /** Reads the address words; all zero where the family is neither of both. */
  readSocketAddress(
    b: Uint8Array,
    at: number,
    words: Int32Array,
    i: number,
  ): void;
  /** Reads the port; it lies at the same place in both families. */
  readSocketPort(b: Uint8Array, at: number): number;
}

const MAPPED = 0xffff;

/** Writes and reads a system's addresses. */
export function socketAddresses(layout: SocketAddressLayout): SocketAddresses {
  const { families, sockaddrIn, sockaddrIn6 } = layout;
  const { INET: inet, INET6: inet6 } = families;
  const { sin_port: portAt, sin_addr: addressAt4 } = sockaddrIn.at;
  const {
    sin6_flowinfo: flowAt,
    sin6_addr: addressAt6,
    sin6_scope_id: scopeAt,
  } = sockaddrIn6.at;
  return { writeSocketAddress, readSocketAddress, readSocketPort };

  function writeSocketAddress(
    b: Uint8Array,
    at: number,
    family: 4 | 6,
    words: Int32Array,
    i: number,
    port: number,
  ): number {
    writeU16be(b, at + portAt, port);
    if (family === 4) {
      writeU16le(b, at, inet);
      writeU32be(b, at + addressAt4, words[i + 3]);
      writeU32be(b, at + 8, 0);
      writeU32be(b, at + 12, 0);
      return sockaddrIn.size;
    }
    writeU16le(b, at, inet6);
    writeU32be(b, at + flowAt, 0);
    writeU32be(b, at + addressAt6, words[i]);
    writeU32be(b, at + addressAt6 + 4, words[i + 1]);
    writeU32be(b, at + addressAt6 + 8, words[i + 2]);
    writeU32be(b, at + addressAt6 + 12, words[i + 3]);
    writeU32be(b, at + scopeAt, 0);
    return sockaddrIn6.size;
  }

  function readSocketAddress(
    b: Uint8Array,
    at: number,
    words: Int32Array,
    i: number,
  ): void {
    const family = readU16le(b, at);
    if (family === inet6) {
      words[i] = readU32be(b, at + addressAt6);
      words[i + 1] = readU32be(b, at + addressAt6 + 4);
      words[i + 2] = readU32be(b, at + addressAt6 + 8);
      words[i + 3] = readU32be(b, at + addressAt6 + 12);
      return;
    }
    const known = family === inet;
    words[i] = 0;
    words[i + 1] = 0;
    words[i + 2] = known ? MAPPED : 0;
    words[i + 3] = known ? readU32be(b, at + addressAt4) : 0;
  }

  function readSocketPort(b: Uint8Array, at: number): number {
    return readU16be(b, at + portAt);
  }
}
