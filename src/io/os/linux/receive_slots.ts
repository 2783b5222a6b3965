/**
 * Where datagrams and trains (UDP_GRO) are received: slots of a worker's area,
 * each with its message header, name and control data.
 *
 *     | headroom | 64 KiB | room |   x count, a bit apart
 *
 * Only the pages that datagrams touch cost memory.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { MSG } from "../../../../ffi/linux_socket_constants.ts";
import type { Area } from "../../ports.ts";
import { MessageVector } from "./message_vector.ts";
import { SOCKET_ADDRESS_ROOM } from "./socket_address.ts";

/** Datagrams that the kernel may hand over as one: UDP_MAX_SEGMENTS. */
export const TRAIN_ROWS = 128;

/** What the kernel puts into one slot at most. */
const DATAGRAM_BYTES = 65536;
/** Slots are no power of two apart, so that they spread in the caches. */
const SHIFT = 17 * 64;

/** How slots look. */
export interface ReceiveSlotsOptions {
  /** The arena. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The part of it for slots. */
  readonly area: Area;
  /** Bytes kept free before what is received; a multiple of 64. */
  readonly headroom: number;
  /** Bytes kept free behind 64 KiB; a multiple of 64. */
  readonly room: number;
  /** Bytes of control data for each, a multiple of 8. */
  readonly controlRoom: number;
}

/** The slots of one worker. */
export class ReceiveSlots {
  readonly count: number;
  /** Where the first slot begins and the last one ends. */
  readonly start: number;
  readonly end: number;
  /** A message for each slot. */
  readonly vector: MessageVector;
  readonly #libc: Libc;
  readonly #distance: number;
  readonly #headroom: number;
  readonly #controlRoom: number;

  constructor(libc: Libc, options: ReceiveSlotsOptions) {
    const { bytes, area, headroom, room, controlRoom } = options;
    this.#libc = libc;
    this.#headroom = headroom;
    this.#controlRoom = controlRoom;
    this.#distance = headroom + DATAGRAM_BYTES + room + SHIFT;
    this.start = (area.start + 63) & ~63;
    this.count = Math.max(
      0,
      Math.floor((area.end - this.start) / this.#distance),
    );
    this.end = this.start + this.count * this.#distance;
    this.vector = new MessageVector({
      bytes,
      capacity: this.count,
      pieces: this.count,
      controlRoom,
    });
    for (let slot = 0; slot < this.count; slot++) {
      this.vector.setPiece(slot, this.at(slot), DATAGRAM_BYTES);
      this.vector.setPieces(slot, slot, 1);
      this.release(slot);
    }
  }

  /** Where a slot's datagram or train begins. */
  at(slot: number): number {
    return this.start + slot * this.#distance + this.#headroom;
  }

  /** The slot that a place between `start` and `end` lies in. */
  slotOf(at: number): number {
    return Math.floor((at - this.start) / this.#distance);
  }

  /** Receives into slots from `first` on, without blocking. @returns how many. */
  receive(descriptor: number, first: number, wanted: number): number {
    const received = this.#libc.call.recvmmsg(
      descriptor,
      this.vector.from(first),
      wanted,
      MSG.DONTWAIT,
      null,
    );
    return received < 0 ? 0 : received;
  }

  /** Makes a slot's header ready to receive again; what it told is gone. */
  release(slot: number): void {
    this.vector.setRooms(slot, SOCKET_ADDRESS_ROOM, this.#controlRoom);
  }
}
