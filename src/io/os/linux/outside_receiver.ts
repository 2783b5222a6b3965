/**
 * Receiving at outside sockets. A train (UDP_GRO) lies in its slot without gaps;
 * its datagrams are moved apart, from the last to the first, so that each has
 * room for the headers that it gets and for its seal:
 *
 *     received   | headroom | aaaabbbbcc                                 |
 *     rows       | headroom | aaaa | 64 | headroom | bbbb | 64 | ...
 *
 * A slot is taken as long as a row of the batch lies in it, so one batch can
 * gather from many sockets.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  IP,
  IPPROTO,
  IPV6,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { HEADER_LENGTH as ICMP_HEADER_LENGTH } from "../../../core/wire/icmp.ts";
import { headerLength, timeToLive } from "../../../core/wire/ipv4.ts";
import type { Area, OutsideShared } from "../../ports.ts";
import { pushReceived, rowLimit } from "../shared/received_rows.ts";
import { controlSpace } from "./message_vector.ts";
import { ReceiveSlots, TRAIN_ROWS } from "./receive_slots.ts";

/** Writable bytes behind each row. */
const TAILROOM = 64;
/** Echo messages that one call takes. */
const MAX_ECHOES = 64;

/** Receives at the sockets of NAT rows and at the raw echo sockets. */
export class OutsideReceiver {
  readonly #shared: OutsideShared;
  readonly #slots: ReceiveSlots;
  /** Bytes between the datagrams of a train. */
  readonly #gap: number;
  readonly #remote = new Int32Array(4);

  /**
   * @param options.area where datagrams go.
   * @param options.headroom writable bytes before each row.
   */
  constructor(
    libc: Libc,
    options: {
      shared: OutsideShared;
      bytes: Uint8Array<ArrayBuffer>;
      area: Area;
      headroom: number;
    },
  ) {
    this.#shared = options.shared;
    this.#gap = options.headroom + TAILROOM;
    this.#slots = new ReceiveSlots(libc, {
      bytes: options.bytes,
      area: options.area,
      headroom: options.headroom,
      room: TRAIN_ROWS * this.#gap,
      controlRoom: 3 * controlSpace(4),
    });
  }

  /** Reads what waits at a mapping's socket. @returns rows added. */
  receive(natRow: number, descriptor: number, batch: Batch): number {
    const before = batch.count;
    const slots = this.#slots;
    const limit = rowLimit(batch);
    let slot = this.#freeSlot(batch);
    for (;;) {
      // Each message may be a whole train: never take one that finds no rows.
      const wanted = Math.min(
        slots.count - slot,
        Math.floor((limit - batch.count) / TRAIN_ROWS),
      );
      if (wanted <= 0) break;
      const received = slots.receive(descriptor, slot, wanted);
      for (let i = slot; i < slot + received; i++) {
        this.#take(batch, i, natRow);
      }
      slot += received;
      if (received < wanted) break;
    }
    return batch.count - before;
  }

  /** Reads what waits at the raw echo sockets. @returns rows added. */
  receiveEcho(batch: Batch): number {
    const before = batch.count;
    const { raw4, raw6 } = this.#shared;
    if (raw4 >= 0) this.#receiveEcho(batch, raw4, 4);
    if (raw6 >= 0) this.#receiveEcho(batch, raw6, 6);
    return batch.count - before;
  }

  /** A raw IPv4 socket gives the IP header along. */
  #receiveEcho(batch: Batch, descriptor: number, family: 4 | 6): void {
    const slots = this.#slots;
    const slot = this.#freeSlot(batch);
    const wanted = Math.min(
      slots.count - slot,
      rowLimit(batch) - batch.count,
      MAX_ECHOES,
    );
    if (wanted <= 0) return;
    const received = slots.receive(descriptor, slot, wanted);
    for (let i = slot; i < slot + received; i++) {
      const at = slots.at(i);
      const length = slots.vector.length(i);
      const header = family === 4 ? headerLength(batch.bytes, at) : 0;
      if (length - header >= ICMP_HEADER_LENGTH) {
        const hopLimit = family === 4
          ? timeToLive(batch.bytes, at)
          : this.#hopLimit(i);
        slots.vector.readSource(i, this.#remote, 0);
        this.#push(batch, at + header, length - header, -1, 0, hopLimit);
      }
      slots.release(i);
    }
  }

  /** Makes rows of what lies in a slot. */
  #take(batch: Batch, slot: number, natRow: number): void {
    const { vector } = this.#slots;
    const gap = this.#gap;
    const at = this.#slots.at(slot);
    const length = vector.length(slot);
    const size = vector.control32(slot, IPPROTO.UDP, UDP.GRO, length);
    const port = vector.readSource(slot, this.#remote, 0);
    const hopLimit = this.#hopLimit(slot);
    this.#slots.release(slot);
    if (size >= length) {
      this.#push(batch, at, length, natRow, port, hopLimit);
      return;
    }
    const last = Math.min(Math.ceil(length / size), TRAIN_ROWS) - 1;
    for (let i = last; i > 0; i--) {
      const from = at + i * size;
      const end = i < last ? from + size : at + length;
      batch.bytes.copyWithin(from + i * gap, from, end);
    }
    for (let i = 0; i <= last; i++) {
      const own = i < last ? size : length - last * size;
      this.#push(batch, at + i * (size + gap), own, natRow, port, hopLimit);
    }
  }

  /** Adds a row that came from `#remote`. */
  #push(
    batch: Batch,
    at: number,
    length: number,
    natRow: number,
    port: number,
    hopLimit: number,
  ): void {
    const row = pushReceived(batch, at, length, this.#remote, port);
    if (row < 0) return;
    batch.target[row] = natRow;
    batch.hopLimit[row] = hopLimit;
  }

  #hopLimit(slot: number): number {
    const { vector } = this.#slots;
    const hopLimit = vector.control32(slot, IPPROTO.IP, IP.TTL, 0);
    if (hopLimit !== 0) return hopLimit;
    return vector.control32(slot, IPPROTO.IPV6, IPV6.HOPLIMIT, 0);
  }

  /** The first slot behind all that rows of the batch lie in. */
  #freeSlot(batch: Batch): number {
    const slots = this.#slots;
    const { offset } = batch;
    // Slots are filled in order, and rows stay in their order.
    for (let row = batch.count - 1; row >= 0; row--) {
      const at = offset[row];
      if (at >= slots.start && at < slots.end) return slots.slotOf(at) + 1;
    }
    return 0;
  }
}
