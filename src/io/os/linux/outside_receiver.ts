/**
 * Receiving at outside sockets into slots of the worker's area:
 *
 *     | 128 for headers | datagram, up to 64 KiB | room behind |   x slots
 *
 * Only the pages that datagrams touch cost memory. A slot is taken as long as a
 * row of the batch lies in it, so one batch can gather from many sockets.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  IP,
  IPPROTO,
  IPV6,
  MSG,
} from "../../../../ffi/linux_socket_constants.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { HEADER_LENGTH as ICMP_HEADER_LENGTH } from "../../../core/wire/icmp.ts";
import { headerLength, timeToLive } from "../../../core/wire/ipv4.ts";
import type { Area, OutsideShared } from "../../ports.ts";
import { controlSpace, MessageVector } from "./message_vector.ts";
import { SOCKET_ADDRESS_ROOM } from "./socket_address.ts";

/** Writable bytes before each row. */
export const OUTSIDE_HEADROOM = 128;

/** Distance of slots; not a power of two, so that they spread in the caches. */
const SLOT_BYTES = 65536 + 17 * 64;
const DATAGRAM_BYTES = 65536;
/** Messages that one call takes. */
const MAX_MESSAGES = 64;
const CONTROL_ROOM = 2 * controlSpace(4);

/** Receives at the sockets of NAT rows and at the raw echo sockets. */
export class OutsideReceiver {
  readonly #libc: Libc;
  readonly #shared: OutsideShared;
  readonly #start: number;
  readonly #end: number;
  readonly #slots: number;
  readonly #vector: MessageVector;

  /** @param options.area where datagrams go; its first byte is a multiple of 64. */
  constructor(
    libc: Libc,
    options: {
      shared: OutsideShared;
      bytes: Uint8Array<ArrayBuffer>;
      area: Area;
    },
  ) {
    this.#libc = libc;
    this.#shared = options.shared;
    this.#start = options.area.start;
    const room = options.area.end - this.#start;
    this.#slots = Math.max(0, Math.floor(room / SLOT_BYTES));
    this.#end = this.#start + this.#slots * SLOT_BYTES;
    this.#vector = new MessageVector({
      bytes: options.bytes,
      capacity: this.#slots,
      pieces: this.#slots,
      controlRoom: CONTROL_ROOM,
    });
    for (let slot = 0; slot < this.#slots; slot++) {
      const at = this.#start + slot * SLOT_BYTES + OUTSIDE_HEADROOM;
      this.#vector.setPiece(slot, at, DATAGRAM_BYTES);
      this.#vector.setPieces(slot, slot, 1);
      this.#vector.setRooms(slot, SOCKET_ADDRESS_ROOM, CONTROL_ROOM);
    }
  }

  /** Reads what waits at a mapping's socket. @returns rows added. */
  receive(natRow: number, descriptor: number, batch: Batch): number {
    const before = batch.count;
    const slot = this.#freeSlot(batch);
    const received = this.#read(descriptor, slot, batch);
    for (let i = slot; i < slot + received; i++) {
      const length = this.#vector.length(i);
      this.#take(batch, i, 0, length, this.#hopLimit(i), natRow);
    }
    return batch.count - before;
  }

  /** Reads what waits at the raw echo sockets. @returns rows added. */
  receiveEcho(batch: Batch): number {
    const before = batch.count;
    if (this.#shared.raw4 >= 0) this.#receiveEcho4(batch, this.#shared.raw4);
    if (this.#shared.raw6 >= 0) this.receive(-1, this.#shared.raw6, batch);
    return batch.count - before;
  }

  /** A raw IPv4 socket gives the IP header along. */
  #receiveEcho4(batch: Batch, descriptor: number): void {
    const slot = this.#freeSlot(batch);
    const received = this.#read(descriptor, slot, batch);
    for (let i = slot; i < slot + received; i++) {
      const length = this.#vector.length(i);
      const at = this.#start + i * SLOT_BYTES + OUTSIDE_HEADROOM;
      const header = headerLength(batch.bytes, at);
      const messageLength = length - header;
      if (messageLength < ICMP_HEADER_LENGTH) {
        this.#vector.setRooms(i, SOCKET_ADDRESS_ROOM, CONTROL_ROOM);
        continue;
      }
      const hopLimit = timeToLive(batch.bytes, at);
      this.#take(batch, i, header, messageLength, hopLimit, -1);
    }
  }

  #read(descriptor: number, slot: number, batch: Batch): number {
    const limit = batch.capacity - (batch.capacity >> 3);
    const wanted = Math.min(
      this.#slots - slot,
      limit - batch.count,
      MAX_MESSAGES,
    );
    if (wanted <= 0) return 0;
    const received = this.#libc.call.recvmmsg(
      descriptor,
      this.#vector.from(slot),
      wanted,
      MSG.DONTWAIT,
      null,
    );
    return received < 0 ? 0 : received;
  }

  /** Makes a row of what lies in a slot, without its first `skip` bytes. */
  #take(
    batch: Batch,
    slot: number,
    skip: number,
    length: number,
    hopLimit: number,
    natRow: number,
  ): void {
    const vector = this.#vector;
    const at = this.#start + slot * SLOT_BYTES + OUTSIDE_HEADROOM + skip;
    const row = batch.push(at, length, -1);
    if (row >= 0) {
      const port = vector.readSource(slot, batch.remote, row * 4);
      batch.target[row] = natRow;
      batch.remotePort[row] = port;
      batch.hopLimit[row] = hopLimit;
    }
    vector.setRooms(slot, SOCKET_ADDRESS_ROOM, CONTROL_ROOM);
  }

  #hopLimit(slot: number): number {
    const vector = this.#vector;
    const hopLimit = vector.control32(slot, IPPROTO.IP, IP.TTL, 0);
    if (hopLimit !== 0) return hopLimit;
    return vector.control32(slot, IPPROTO.IPV6, IPV6.HOPLIMIT, 0);
  }

  /** The first slot behind all that rows of the batch lie in. */
  #freeSlot(batch: Batch): number {
    const offset = batch.offset;
    let last = this.#start - SLOT_BYTES;
    for (let row = 0; row < batch.count; row++) {
      const at = offset[row];
      if (at > last && at < this.#end) last = at;
    }
    return Math.floor((last - this.#start) / SLOT_BYTES) + 1;
  }
}
