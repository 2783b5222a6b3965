/**
 * How bytes of the arena get into and out of a TUN device without a view for
 * each place: one small array of pieces, filled in anew for each call.
 */
import { iovec } from "../../../../ffi/linux_layouts.ts";
import { addressOf } from "./message_vector.ts";

const ADDRESS_LOW = iovec.at.iov_base >> 2;
const ADDRESS_HIGH = ADDRESS_LOW + 1;
const LENGTH_LOW = iovec.at.iov_len >> 2;
const TWO_32 = 0x1_0000_0000;

/** The device was removed while it was held. */
export const EBADFD = 77;

/** The shortest packet there is: an IPv4 header. */
const SHORTEST_PACKET = 20;
const PADDING = 16;

/** One piece of an arena, as readv and writev take it. */
export class ArenaPiece {
  /** struct iovec[1]. */
  readonly iovec: Uint8Array<ArrayBuffer>;
  readonly #words: Uint32Array;
  /** The system writes to it: it must live as long as the piece does. */
  readonly #arena: Uint8Array<ArrayBuffer>;
  readonly #arenaAddress: number;

  constructor(arena: Uint8Array<ArrayBuffer>) {
    this.#arena = arena;
    this.#arenaAddress = addressOf(arena);
    const buffer = new ArrayBuffer(iovec.size);
    this.#words = new Uint32Array(buffer);
    this.iovec = new Uint8Array(buffer);
  }

  /** Makes it name arena[at .. at + length), cut at the arena's end. */
  set(at: number, length: number): void {
    const address = this.#arenaAddress + at;
    this.#words[ADDRESS_LOW] = address;
    this.#words[ADDRESS_HIGH] = address / TWO_32;
    this.#words[LENGTH_LOW] = Math.min(length, this.#arena.length - at);
  }
}

/** Bytes that a packet takes together with its padding, in a tunnel message. */
export function paddedPacketLength(length: number, padLimit: number): number {
  const padded = (length + PADDING - 1) & ~(PADDING - 1);
  return padded <= padLimit ? padded : Math.max(length, padLimit);
}

/** Whether bytes begin like an IP packet; the device may give others. */
export function isPacket(
  bytes: Uint8Array,
  at: number,
  length: number,
): boolean {
  const version = bytes[at] >>> 4;
  return length >= SHORTEST_PACKET && (version === 4 || version === 6);
}
