/**
 * Puts fragments from clients together again, IPv4 (RFC 791 section 3.2) and
 * IPv6 (RFC 8200 section 4.5), for packets that the gateway itself has to read:
 * RFC 4787 REQ-14, out of order too, and bounded (REQ-14 a).
 *
 * A fixed number of slots, each with room for the largest datagram, a bit per
 * 8 bytes of it, and a deadline. A peer that has its share in use gives up its
 * own oldest datagram for a new one. Overlapping fragments poison their slot:
 * nothing of that datagram gets through until the slot times out (RFC 5722, for
 * IPv4 as well); an exact duplicate is let pass.
 *
 *     slot: | headers, HEADER_ROOM bytes | payload, 65,536 bytes |
 *
 * Concurrency: one thread at a time; several may take turns over one buffer.
 */
import { ColumnAllocator } from "../columns/columns.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { equalWords } from "../wire/address.ts";
import { copyBytes } from "../wire/bytes.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import type { PacketView } from "../wire/packet_view.ts";

/** How much may wait. */
export interface ReassemblyOptions {
  /** Datagrams that may wait at once. */
  readonly slots: number;
  /** How many of them may be one peer's. */
  readonly slotsPerPeer: number;
}

/** How long a datagram may wait for its fragments (RFC 791; RFC 8200 says 60 s). */
export const REASSEMBLY_TIMEOUT_MS = 30_000;

const HEADER_ROOM = 256;
const PAYLOAD_ROOM = 65536;
const SLOT_BYTES = HEADER_ROOM + PAYLOAD_ROOM;
const BITMAP_WORDS = PAYLOAD_ROOM / 8 / 32;
const MAX_PACKET = 65535;
const COLUMNS = 16;

const State = { Free: 0, Collecting: 1, Poisoned: 2 } as const;
const Coverage = { None: 0, Some: 1, All: 2 } as const;

/** Datagrams in pieces. */
export class Reassembly {
  /** The slot that the last {@linkcode add} completed, or -1. */
  completed = -1;

  readonly #slots: number;
  readonly #slotsPerPeer: number;
  readonly #bytes: Uint8Array;
  readonly #bitmap: Int32Array;
  readonly #state: Int32Array;
  readonly #peer: Int32Array;
  readonly #version: Int32Array;
  readonly #protocol: Int32Array;
  readonly #id: Int32Array;
  readonly #source: Int32Array;
  readonly #destination: Int32Array;
  /** Bytes of the first fragment's headers; 0 where it has not come. */
  readonly #headerLength: Int32Array;
  /** Bytes of the payload; -1 where the last fragment has not come. */
  readonly #payloadLength: Int32Array;
  readonly #received: Int32Array;
  readonly #end: Int32Array;
  readonly #deadline: Float64Array;
  /** One cell: slots in use. */
  readonly #used: Int32Array;
  /** One cell: no slot's time is over before. */
  readonly #nextDeadline: Float64Array;
  #abandoned = 0;

  /** Bytes of its columns. */
  static byteLength(slots: number): number {
    const cells = BITMAP_WORDS + 17;
    return slots * (SLOT_BYTES + cells * 4 + 8) + COLUMNS * 8;
  }

  /** @param columns zeroed, or those of another thread. */
  constructor(
    options: ReassemblyOptions,
    columns = new ColumnAllocator(
      new ArrayBuffer(Reassembly.byteLength(options.slots)),
    ),
  ) {
    const { slots } = options;
    this.#slots = slots;
    this.#slotsPerPeer = options.slotsPerPeer;
    this.#bytes = columns.bytes(slots * SLOT_BYTES);
    this.#bitmap = columns.int32(slots * BITMAP_WORDS);
    this.#state = columns.int32(slots);
    this.#peer = columns.int32(slots);
    this.#version = columns.int32(slots);
    this.#protocol = columns.int32(slots);
    this.#id = columns.int32(slots);
    this.#source = columns.int32(slots * 4);
    this.#destination = columns.int32(slots * 4);
    this.#headerLength = columns.int32(slots);
    this.#payloadLength = columns.int32(slots);
    this.#received = columns.int32(slots);
    this.#end = columns.int32(slots);
    this.#deadline = columns.float64(slots);
    this.#used = columns.int32(1);
    this.#nextDeadline = columns.float64(1);
  }

  /** Slots in use. */
  get size(): number {
    return this.#used[0];
  }

  /**
   * Takes a fragment, parsed into `view`, from a peer. Afterwards `completed`
   * names the slot whose datagram is whole now, or is -1.
   * @returns None where the fragment was taken, else why not
   */
  add(b: Uint8Array, view: PacketView, peer: number, now: number): DropReason {
    this.completed = -1;
    const isIpv4 = view.version === 4;
    const dataAt = isIpv4
      ? view.payloadAt
      : view.fragmentHeaderAt + ipv6.FRAGMENT_HEADER_LENGTH;
    const length = view.at + view.totalLength - dataAt;
    const header = (isIpv4 ? view.payloadAt : view.fragmentHeaderAt) - view.at;
    const end = view.fragmentOffset + length;
    if (length <= 0 || (view.moreFragments === 1 && length % 8 !== 0)) {
      return DropReason.BadTotalLength;
    }
    if (header > HEADER_ROOM) return DropReason.BadExtensionHeader;
    if (end + (isIpv4 ? header : header - ipv6.HEADER_LENGTH) > MAX_PACKET) {
      return DropReason.BadTotalLength;
    }

    let slot = this.#find(view, peer);
    if (slot < 0) slot = this.#take(view, peer, now);
    if (slot < 0) return DropReason.FragmentTableFull;
    if (this.#state[slot] === State.Poisoned) return DropReason.FragmentOverlap;

    const coverage = this.#coverage(slot, view.fragmentOffset, length);
    if (
      coverage === Coverage.All && this.#isDuplicate(slot, b, dataAt, view, end)
    ) {
      return DropReason.None;
    }
    if (coverage !== Coverage.None || !this.#endAgrees(slot, view, end)) {
      this.#state[slot] = State.Poisoned;
      return DropReason.FragmentOverlap;
    }
    this.#store(slot, b, view, dataAt, length, header);
    if (this.#received[slot] !== this.#payloadLength[slot]) {
      return DropReason.None;
    }
    // The first fragment's header may be longer than that of the last one.
    const longest = MAX_PACKET + (isIpv4 ? 0 : ipv6.HEADER_LENGTH);
    if (this.lengthOf(slot) > longest) {
      this.free(slot);
      return DropReason.BadTotalLength;
    }
    this.completed = slot;
    return DropReason.None;
  }

  /** Bytes of a completed slot's packet. */
  lengthOf(slot: number): number {
    return this.#headerLength[slot] + this.#payloadLength[slot];
  }

  /** Writes a completed slot's packet to `out`, unfragmented, and frees the slot. */
  takeOut(slot: number, out: Uint8Array, at: number): void {
    const header = this.#headerLength[slot];
    const payload = this.#payloadLength[slot];
    const from = slot * SLOT_BYTES;
    copyBytes(out, at, this.#bytes, from, header);
    copyBytes(out, at + header, this.#bytes, from + HEADER_ROOM, payload);
    if (this.#version[slot] === 4) {
      ipv4.setTotalLength(out, at, header + payload);
      ipv4.setFragment(out, at, 0, 0, 0);
      ipv4.updateHeaderChecksum(out, at);
    } else {
      ipv6.setPayloadLength(out, at, header - ipv6.HEADER_LENGTH + payload);
    }
    this.free(slot);
  }

  /** Frees a slot. */
  free(slot: number): void {
    this.#state[slot] = State.Free;
    this.#used[0]--;
  }

  /**
   * Frees the slots whose time is over.
   * @returns datagrams given up incomplete since the last call, those that made
   *   way for a newer one of the same peer included
   */
  expire(now: number): number {
    if (this.size > 0 && now >= this.#nextDeadline[0]) {
      let next = Infinity;
      for (let slot = 0; slot < this.#slots; slot++) {
        if (this.#state[slot] === State.Free) continue;
        if (now >= this.#deadline[slot]) this.#abandon(slot);
        else next = Math.min(next, this.#deadline[slot]);
      }
      this.#nextDeadline[0] = next;
    }
    const abandoned = this.#abandoned;
    this.#abandoned = 0;
    return abandoned;
  }

  #abandon(slot: number): void {
    if (this.#state[slot] === State.Collecting) this.#abandoned++;
    this.free(slot);
  }

  #find(view: PacketView, peer: number): number {
    const protocol = view.version === 4 ? view.protocol : 0;
    for (let slot = 0; slot < this.#slots; slot++) {
      if (
        this.#state[slot] !== State.Free &&
        this.#id[slot] === (view.fragmentId | 0) &&
        this.#peer[slot] === peer && this.#version[slot] === view.version &&
        this.#protocol[slot] === protocol &&
        equalWords(this.#source, slot * 4, view.sourceWords, 0) &&
        equalWords(this.#destination, slot * 4, view.destinationWords, 0)
      ) return slot;
    }
    return -1;
  }

  #take(view: PacketView, peer: number, now: number): number {
    const slot = this.#choose(peer);
    if (slot < 0) return -1;
    this.#state[slot] = State.Collecting;
    this.#used[0]++;
    this.#peer[slot] = peer;
    this.#version[slot] = view.version;
    this.#protocol[slot] = view.version === 4 ? view.protocol : 0;
    this.#id[slot] = view.fragmentId;
    for (let word = 0; word < 4; word++) {
      this.#source[slot * 4 + word] = view.sourceWords[word];
      this.#destination[slot * 4 + word] = view.destinationWords[word];
    }
    this.#headerLength[slot] = 0;
    this.#payloadLength[slot] = -1;
    this.#received[slot] = 0;
    this.#end[slot] = 0;
    this.#deadline[slot] = now + REASSEMBLY_TIMEOUT_MS;
    this.#nextDeadline[0] = Math.min(
      this.#nextDeadline[0],
      this.#deadline[slot],
    );
    this.#bitmap.fill(0, slot * BITMAP_WORDS, (slot + 1) * BITMAP_WORDS);
    return slot;
  }

  /** A free slot; the peer's own oldest where it has its share; -1 where all are others'. */
  #choose(peer: number): number {
    let free = -1;
    let own = 0;
    let oldest = -1;
    for (let slot = 0; slot < this.#slots; slot++) {
      if (this.#state[slot] === State.Free) {
        if (free < 0) free = slot;
      } else if (this.#peer[slot] === peer) {
        own++;
        if (oldest < 0 || this.#deadline[slot] < this.#deadline[oldest]) {
          oldest = slot;
        }
      }
    }
    if (own < this.#slotsPerPeer) return free;
    this.#abandon(oldest);
    return oldest;
  }

  #coverage(slot: number, offset: number, length: number): number {
    const first = offset >>> 3;
    const blocks = (length + 7) >>> 3;
    let set = 0;
    for (let block = first; block < first + blocks; block++) {
      set +=
        (this.#bitmap[slot * BITMAP_WORDS + (block >>> 5)] >>> (block & 31)) &
        1;
    }
    return set === 0
      ? Coverage.None
      : set === blocks
      ? Coverage.All
      : Coverage.Some;
  }

  #isDuplicate(
    slot: number,
    b: Uint8Array,
    dataAt: number,
    view: PacketView,
    end: number,
  ): boolean {
    const total = this.#payloadLength[slot];
    if (view.moreFragments === 1 ? total >= 0 && end >= total : end !== total) {
      return false;
    }
    const at = slot * SLOT_BYTES + HEADER_ROOM + view.fragmentOffset;
    const length = end - view.fragmentOffset;
    for (let i = 0; i < length; i++) {
      if (this.#bytes[at + i] !== b[dataAt + i]) return false;
    }
    return true;
  }

  /** Whether a fragment's end fits what is known of the datagram's end. */
  #endAgrees(slot: number, view: PacketView, end: number): boolean {
    const total = this.#payloadLength[slot];
    if (view.moreFragments === 1) return total < 0 || end < total;
    return total < 0 && end >= this.#end[slot];
  }

  #store(
    slot: number,
    b: Uint8Array,
    view: PacketView,
    dataAt: number,
    length: number,
    header: number,
  ): void {
    const offset = view.fragmentOffset;
    const base = slot * SLOT_BYTES;
    copyBytes(this.#bytes, base + HEADER_ROOM + offset, b, dataAt, length);
    const first = offset >>> 3;
    const blocks = (length + 7) >>> 3;
    for (let block = first; block < first + blocks; block++) {
      this.#bitmap[slot * BITMAP_WORDS + (block >>> 5)] |= 1 << (block & 31);
    }
    this.#received[slot] += length;
    this.#end[slot] = Math.max(this.#end[slot], offset + length);
    if (view.moreFragments === 0) this.#payloadLength[slot] = offset + length;
    if (offset > 0) return;
    copyBytes(this.#bytes, base, b, view.at, header);
    this.#headerLength[slot] = header;
    if (view.version === 6) {
      this.#bytes[base + view.fragmentNamedAt - view.at] =
        b[view.fragmentHeaderAt];
    }
  }
}
