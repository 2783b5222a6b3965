/**
 * The two ways of a redirected connection, side by side. A is the relay's
 * address, P its port; N(g) the address that a row's generation picks, n the
 * row's port: the «system stack», as tun2socks programs call it.
 *
 *     toRelay     client s:sp -> remote d:dp   becomes   N(g):n -> A:P
 *     fromRelay   A:P -> N(g):n                becomes   d:dp -> s:sp
 *
 *     prefix      | A | N(0) | N(1) | ... | N(generations - 1) |
 *
 * Where packets are captured on their way, no interface has A: the relay is
 * reached at each client's own address s, and A is nobody's ({@linkcode
 * RelayEnds.reached}).
 *
 *     toRelay     client s:sp -> remote d:dp   becomes   N(g):n -> s:P
 *     fromRelay   s:P -> N(g):n                becomes   d:dp -> s:sp
 */
import { DropReason } from "../columns/drop_reason.ts";
import {
  equalWords,
  isMappedIpv4,
  type Prefix,
  prefixContains,
  readWords,
} from "../wire/address.ts";
import { readU16be, readU32be } from "../wire/bytes.ts";
import type { ChecksumForm } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { Protocol } from "../wire/protocol.ts";
import * as tcp from "../wire/tcp.ts";
import {
  FIRST_PORT,
  generationIn,
  isPassing,
  type RedirectTable,
  stateIn,
} from "./redirect_table.ts";
import { rewriteIpv4, rewriteIpv6 } from "./rewrite.ts";

/** Where the relay listens in one family; plain data. */
export interface RelayEnd {
  /** A, with the length of the prefix that holds A and all N. */
  readonly address: Prefix;
  /** P. */
  readonly port: number;
}

/** Where the relay listens; a family that it does not serve is undefined. */
export interface RelayEnds {
  readonly ipv4: RelayEnd | undefined;
  readonly ipv6: RelayEnd | undefined;
  /** At which address: A, or each client's own; A where nothing is said. */
  readonly reached?: "relay" | "client";
}

/** More fragments, or an offset: IPv4's part of a packet. */
const IPV4_FRAGMENT = 0x3fff;

/** Rewrites packets between clients and the relay. Any thread may have one. */
export class Redirect {
  readonly #table: RedirectTable;
  readonly #ends: RelayEnds;
  /** A, then N(generation) at times, as address words. */
  readonly #relay4: number;
  readonly #mask4: number;
  readonly #port4: number;
  readonly #relay6: Int32Array;
  readonly #mask6: Int32Array;
  readonly #port6: number;
  readonly #beside6: Int32Array;
  readonly #atClient: boolean;
  readonly #words = new Int32Array(4);

  /** @throws {RangeError} where a prefix does not hold all addresses. */
  constructor(ends: RelayEnds, table: RedirectTable) {
    const { ipv4, ipv6, reached } = ends;
    for (const end of [ipv4, ipv6]) {
      if (end !== undefined) checkPrefix(end.address, table.generations);
    }
    this.#table = table;
    this.#ends = ends;
    this.#atClient = reached === "client";
    this.#relay4 = (ipv4?.address.words[3] ?? 0) | 0;
    this.#mask4 = ipv4 === undefined ? 0 : maskOf(ipv4.address.length, 0);
    this.#port4 = ipv4?.port ?? 0;
    this.#relay6 = Int32Array.from(ipv6?.address.words ?? [0, 0, 0, 0]);
    this.#mask6 = Int32Array.from(
      [0, 1, 2, 3],
      (word) => ipv6 === undefined ? 0 : maskOf(ipv6.address.length, word),
    );
    this.#port6 = ipv6?.port ?? 0;
    this.#beside6 = this.#relay6.slice();
  }

  /** Whether the relay serves an IP version. */
  serves(version: number): boolean {
    return (version === 4 ? this.#ends.ipv4 : this.#ends.ipv6) !== undefined;
  }

  /** Whether an address lies in a prefix of the relay's. */
  isRelayAddress(words: Int32Array, i: number): boolean {
    if (isMappedIpv4(words, i)) {
      return this.#ends.ipv4 !== undefined &&
        ((words[i + 3] ^ this.#relay4) & this.#mask4) === 0;
    }
    if (this.#ends.ipv6 === undefined) return false;
    for (let word = 0; word < 4; word++) {
      const difference = words[i + word] ^ this.#relay6[word];
      if ((difference & this.#mask6[word]) !== 0) return false;
    }
    return true;
  }

  /**
   * Whether a whole packet is the relay's: its source lies in a prefix of the
   * relay's, or its destination where the relay is reached at its clients'.
   */
  isFromRelay(b: Uint8Array, at: number): boolean {
    if (b[at] >>> 4 === 4) {
      const own = at + (this.#atClient ? ipv4.DESTINATION_AT : ipv4.SOURCE_AT);
      return this.#ends.ipv4 !== undefined &&
        ((readU32be(b, own) ^ this.#relay4) & this.#mask4) === 0;
    }
    if (this.#ends.ipv6 === undefined) return false;
    const own = at + (this.#atClient ? ipv6.DESTINATION_AT : ipv6.SOURCE_AT);
    for (let word = 0; word < 4; word++) {
      const part = readU32be(b, own + word * 4);
      if (((part ^ this.#relay6[word]) & this.#mask6[word]) !== 0) return false;
    }
    return true;
  }

  /**
   * Makes a client's packet one for the relay.
   * @param tcpAt where its TCP header starts, behind a plain IP header at `at`
   * @param generation of the row's connection
   * @param form of the TCP checksum
   */
  toRelay(
    b: Uint8Array,
    at: number,
    tcpAt: number,
    row: number,
    generation: number,
    form: ChecksumForm,
  ): void {
    const beside = 1 + (generation & (this.#table.generations - 1));
    const port = FIRST_PORT + row;
    if (b[at] >>> 4 === 4) {
      const source = (this.#relay4 + beside) | 0;
      const to = this.#atClient
        ? this.#table.client[row * 4 + 3]
        : this.#relay4;
      rewriteIpv4(b, at, tcpAt, source, port, to, this.#port4, form);
      return;
    }
    const source = this.#beside6;
    const to = this.#atClient ? this.#table.client : this.#relay6;
    const i = this.#atClient ? row * 4 : 0;
    source[3] = this.#relay6[3] + beside;
    rewriteIpv6(b, at, tcpAt, source, 0, port, to, i, this.#port6, form);
  }

  /** Makes a packet that the relay sent for a row one for its client; parameters as above. */
  fromRelay(
    b: Uint8Array,
    at: number,
    tcpAt: number,
    row: number,
    form: ChecksumForm,
  ): void {
    const { client, clientPort, remote, remotePort } = this.#table;
    const i = row * 4;
    const from = remotePort[row];
    const to = clientPort[row];
    if (b[at] >>> 4 === 4) {
      const source = remote[i + 3];
      rewriteIpv4(b, at, tcpAt, source, from, client[i + 3], to, form);
    } else {
      rewriteIpv6(b, at, tcpAt, remote, i, from, client, i, to, form);
    }
  }

  /**
   * Where the TCP header of a packet from the relay's own port starts.
   * @param at a whole IP packet whose form has been checked
   * @param end where it ends
   * @returns -1 where it is no TCP of A:P
   */
  segmentFromRelay(b: Uint8Array, at: number, end: number): number {
    let tcpAt;
    let port;
    if (b[at] >>> 4 === 4) {
      if (
        this.#ends.ipv4 === undefined || ipv4.protocol(b, at) !== Protocol.Tcp
      ) return -1;
      if ((readU16be(b, at + ipv4.FRAGMENT_AT) & IPV4_FRAGMENT) !== 0) {
        return -1;
      }
      const source = readU32be(b, at + ipv4.SOURCE_AT) | 0;
      if (!this.#atClient && source !== this.#relay4) return -1;
      tcpAt = at + ipv4.headerLength(b, at);
      port = this.#port4;
    } else {
      if (
        this.#ends.ipv6 === undefined || ipv6.nextHeader(b, at) !== Protocol.Tcp
      ) return -1;
      for (let word = 0; word < 4; word++) {
        const part = readU32be(b, at + ipv6.SOURCE_AT + word * 4) | 0;
        if (!this.#atClient && part !== this.#relay6[word]) return -1;
      }
      tcpAt = at + ipv6.HEADER_LENGTH;
      port = this.#port6;
    }
    if (tcp.validate(b, tcpAt, end - tcpAt) !== DropReason.None) return -1;
    return tcp.sourcePort(b, tcpAt) === port ? tcpAt : -1;
  }

  /**
   * The row that a packet from the relay is for: Open or Closed, in its present
   * generation.
   * @param tcpAt as {@linkcode segmentFromRelay} gave it
   * @returns the row, or -1
   */
  rowOfSegment(b: Uint8Array, at: number, tcpAt: number): number {
    const words = this.#words;
    readEnd(b, at, ipv4.DESTINATION_AT, ipv6.DESTINATION_AT, words);
    const row = this.rowOf(words, 0, tcp.destinationPort(b, tcpAt));
    if (row < 0 || !this.#atClient) return row;
    readEnd(b, at, ipv4.SOURCE_AT, ipv6.SOURCE_AT, words);
    return equalWords(this.#table.client, row * 4, words, 0) ? row : -1;
  }

  /**
   * The row that N(g):n stands for now: Open or Closed. What the relay accepts
   * from that address belongs to it. Any thread.
   * @returns the row, or -1
   */
  rowOf(words: Int32Array, i: number, port: number): number {
    const table = this.#table;
    const row = port - FIRST_PORT;
    if (row < 0 || row >= table.capacity) return -1;
    const word = table.wordOf(row);
    if (!isPassing(stateIn(word))) return -1;
    const group = generationIn(word) & (table.generations - 1);
    if (this.#groupOf(words, i) !== group) return -1;
    // Both families have the same ports: the row must be of this one.
    return isMappedIpv4(table.client, row * 4) === isMappedIpv4(words, i)
      ? row
      : -1;
  }

  /** g of N(g); -1 where the address is none beside the relay's. */
  #groupOf(words: Int32Array, i: number): number {
    const { ipv4, ipv6 } = this.#ends;
    if (isMappedIpv4(words, i)) {
      if (ipv4 === undefined) return -1;
      return (words[i + 3] - this.#relay4 - 1) | 0;
    }
    const relay = this.#relay6;
    if (
      ipv6 === undefined || words[i] !== relay[0] ||
      words[i + 1] !== relay[1] || words[i + 2] !== relay[2]
    ) return -1;
    return (words[i + 3] - relay[3] - 1) | 0;
  }
}

/** Reads one of a packet's addresses. */
function readEnd(
  b: Uint8Array,
  at: number,
  at4: number,
  at6: number,
  words: Int32Array,
): void {
  if (b[at] >>> 4 !== 4) return readWords(b, at + at6, words, 0);
  words[0] = 0;
  words[1] = 0;
  words[2] = 0xffff;
  words[3] = readU32be(b, at + at4);
}

/** A mask for one of the words of a prefix's own family: IPv4 has one word. */
function maskOf(length: number, word: number): number {
  const left = Math.max(0, Math.min(32, length - word * 32));
  return left === 0 ? 0 : -1 << (32 - left);
}

function checkPrefix(prefix: Prefix, generations: number): void {
  const last = Uint32Array.from(prefix.words);
  last[3] += generations;
  if (last[3] < prefix.words[3] || !prefixContains(prefix, last)) {
    throw new RangeError(
      `a prefix of ${prefix.length} bits is too small for ${generations} ` +
        `addresses beside the relay's`,
    );
  }
}
