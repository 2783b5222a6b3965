/**
 * By which adapter, from whom and to whom frames go, learned from those that the
 * host sends: what is made here goes to the host, or on, as they did.
 *
 *     local     the host's own address -> adapter, its MAC, whom it last sent to
 *     remote    anybody's address -> the MAC that frames for it went to
 *
 * The local rows lie in memory that threads share: one learns, all may ask. A row
 * is changed between two steps of its own count. Remote ones are the learner's
 * alone, in sets of four, of which the eldest goes.
 *
 *     local row:  count | words 4 | adapter 2 | frame's destination, source 12 bytes
 */
import { equalWords, readWords } from "../../../core/wire/address.ts";
import { copyBytes, readU32be } from "../../../core/wire/bytes.ts";
import * as ethernet from "../../../core/wire/ethernet.ts";
import * as ipv4 from "../../../core/wire/ipv4.ts";
import * as ipv6 from "../../../core/wire/ipv6.ts";

const ROW_CELLS = 10;
const WORDS = 1;
const ADAPTER = 5;
const MACS = 7;
const LOCALS = 64;
const MAC_BYTES = 12;
const SETS = 1024;
const WAYS = 4;
/** Tries of a reader that meets a change. */
const TRIES = 100;

/** Bytes of shared memory that it needs, zeros at first. */
export const LINKS_LENGTH = (1 + LOCALS * ROW_CELLS) * 4;

/** See the file header. */
export class FrameLinks {
  /** Cell 0 counts rows; rows follow. */
  readonly #cells: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #base: number;
  readonly #remote = new Int32Array(SETS * WAYS * 4);
  readonly #remoteMac = new Uint8Array(SETS * WAYS * ethernet.ADDRESS_LENGTH);
  readonly #eldest = new Uint8Array(SETS);
  readonly #source = new Int32Array(4);
  readonly #destination = new Int32Array(4);
  readonly #macs = new Uint8Array(MAC_BYTES);
  #last = 0;
  #next = 0;

  /** @param at where in the memory, at a multiple of 4. */
  constructor(memory: ArrayBuffer | SharedArrayBuffer, at: number) {
    this.#cells = new Int32Array(memory, at, LINKS_LENGTH / 4);
    this.#bytes = new Uint8Array(memory, at, LINKS_LENGTH);
    this.#base = 1;
  }

  /**
   * Learns from a frame that the host sends.
   * @param adapterAt where its adapter's handle lies, 8 bytes
   */
  learn(
    b: Uint8Array,
    adapterAt: number,
    frameAt: number,
    packetAt: number,
  ): void {
    this.#read(b, packetAt);
    const row = this.#localRow(this.#source);
    const cells = this.#cells;
    const at = this.#base + row * ROW_CELLS;
    const isKnown = row < cells[0] &&
      equalWords(cells, at + WORDS, this.#source, 0) &&
      isSame(this.#bytes, (at + MACS) * 4, b, frameAt, MAC_BYTES) &&
      isSame(this.#bytes, (at + ADAPTER) * 4, b, adapterAt, 8);
    if (!isKnown) this.#write(row, b, adapterAt, frameAt);
    this.#learnRemote(b, frameAt);
  }

  /**
   * Puts header and adapter before a packet for the host.
   * @returns false where its destination is no address that the host has sent from
   */
  toHost(
    b: Uint8Array,
    adapterAt: number,
    frameAt: number,
    packetAt: number,
  ): boolean {
    this.#read(b, packetAt);
    const row = this.#find(this.#destination, b, adapterAt);
    if (row < 0) return false;
    const { ADDRESS_LENGTH } = ethernet;
    const version = b[packetAt] >>> 4;
    ethernet.emit(b, frameAt, this.#macs, ADDRESS_LENGTH, 0, version);
    return true;
  }

  /** The same for a packet that the host's source sends into the network. */
  toNetwork(
    b: Uint8Array,
    adapterAt: number,
    frameAt: number,
    packetAt: number,
  ): boolean {
    this.#read(b, packetAt);
    const row = this.#find(this.#source, b, adapterAt);
    if (row < 0) return false;
    const { ADDRESS_LENGTH } = ethernet;
    const way = this.#remoteRow(this.#destination);
    if (way >= 0) {
      const from = way * ADDRESS_LENGTH;
      copyBytes(this.#macs, 0, this.#remoteMac, from, ADDRESS_LENGTH);
    }
    const version = b[packetAt] >>> 4;
    ethernet.emit(b, frameAt, this.#macs, 0, ADDRESS_LENGTH, version);
    return true;
  }

  /** Reads both ends of a packet. */
  #read(b: Uint8Array, packetAt: number): void {
    const source = this.#source;
    const destination = this.#destination;
    if (b[packetAt] >>> 4 !== 4) {
      readWords(b, packetAt + ipv6.SOURCE_AT, source, 0);
      readWords(b, packetAt + ipv6.DESTINATION_AT, destination, 0);
      return;
    }
    source[0] =
      source[1] =
      destination[0] =
      destination[1] =
        0;
    source[2] = destination[2] = 0xffff;
    source[3] = readU32be(b, packetAt + ipv4.SOURCE_AT);
    destination[3] = readU32be(b, packetAt + ipv4.DESTINATION_AT);
  }

  /** The row of an address of the host's, or the one that it is to get. */
  #localRow(words: Int32Array): number {
    const cells = this.#cells;
    const count = cells[0];
    const last = this.#base + this.#last * ROW_CELLS + WORDS;
    if (this.#last < count && equalWords(cells, last, words, 0)) {
      return this.#last;
    }
    let row = 0;
    while (
      row < count &&
      !equalWords(cells, this.#base + row * ROW_CELLS + WORDS, words, 0)
    ) row++;
    if (row === LOCALS) {
      row = this.#next;
      this.#next = (row + 1) % LOCALS;
    }
    this.#last = row;
    return row;
  }

  #write(
    row: number,
    b: Uint8Array,
    adapterAt: number,
    frameAt: number,
  ): void {
    const cells = this.#cells;
    const at = this.#base + row * ROW_CELLS;
    Atomics.add(cells, at, 1);
    for (let word = 0; word < 4; word++) {
      cells[at + WORDS + word] = this.#source[word];
    }
    copyBytes(this.#bytes, (at + ADAPTER) * 4, b, adapterAt, 8);
    copyBytes(this.#bytes, (at + MACS) * 4, b, frameAt, MAC_BYTES);
    Atomics.add(cells, at, 1);
    if (row >= cells[0]) Atomics.store(cells, 0, row + 1);
  }

  /** Finds a local row; its MACs are then in `#macs`, its adapter at `adapterAt`. */
  #find(words: Int32Array, b: Uint8Array, adapterAt: number): number {
    const cells = this.#cells;
    const count = Atomics.load(cells, 0);
    for (let row = 0; row < count; row++) {
      const at = this.#base + row * ROW_CELLS;
      if (!equalWords(cells, at + WORDS, words, 0)) continue;
      for (let left = TRIES; left > 0; left--) {
        const before = Atomics.load(cells, at);
        const isIts = equalWords(cells, at + WORDS, words, 0);
        copyBytes(b, adapterAt, this.#bytes, (at + ADAPTER) * 4, 8);
        copyBytes(this.#macs, 0, this.#bytes, (at + MACS) * 4, MAC_BYTES);
        const after = Atomics.load(cells, at);
        if (before === after && (before & 1) === 0) return isIts ? row : -1;
      }
    }
    return -1;
  }

  #learnRemote(b: Uint8Array, frameAt: number): void {
    const words = this.#destination;
    let row = this.#remoteRow(words);
    const { ADDRESS_LENGTH } = ethernet;
    if (row < 0) {
      const set = setOf(words);
      row = set * WAYS + this.#eldest[set];
      this.#eldest[set] = (this.#eldest[set] + 1) % WAYS;
      for (let word = 0; word < 4; word++) {
        this.#remote[row * 4 + word] = words[word];
      }
    }
    const at = row * ADDRESS_LENGTH;
    copyBytes(this.#remoteMac, at, b, frameAt, ADDRESS_LENGTH);
  }

  #remoteRow(words: Int32Array): number {
    const first = setOf(words) * WAYS;
    for (let row = first; row < first + WAYS; row++) {
      if (equalWords(this.#remote, row * 4, words, 0)) return row;
    }
    return -1;
  }
}

function setOf(words: Int32Array): number {
  const mixed = Math.imul(
    words[0] ^ Math.imul(words[1], 31) ^ Math.imul(words[2], 961) ^ words[3],
    0x9e3779b1,
  );
  return mixed >>> 22;
}

function isSame(
  a: Uint8Array,
  aAt: number,
  b: Uint8Array,
  bAt: number,
  length: number,
): boolean {
  for (let n = 0; n < length; n++) {
    if (a[aAt + n] !== b[bAt + n]) return false;
  }
  return true;
}
