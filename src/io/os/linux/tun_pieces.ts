/**
 * How bytes of the arena get into and out of a TUN device without a view for
 * each place: one small array of pieces, filled in anew for each call.
 */
import { iovec } from "../../../../ffi/linux_layouts.ts";
import type { Libc } from "../../../../ffi/libc.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { Verdict } from "../../../core/columns/verdict.ts";
import { addressOf } from "./message_vector.ts";

const ADDRESS_LOW = iovec.at.iov_base >> 2;
const ADDRESS_HIGH = ADDRESS_LOW + 1;
const LENGTH_LOW = iovec.at.iov_len >> 2;
const IOVEC_WORDS = iovec.size >> 2;
const TWO_32 = 0x1_0000_0000;

/** The device was removed while it was held. */
export const EBADFD = 77;

/** A piece of an arena as readv and writev take it, behind a fixed prefix or none. */
export class ArenaPiece {
  /** struct iovec[{@linkcode count}]. */
  readonly iovec: Uint8Array<ArrayBuffer>;
  readonly count: number;
  readonly #words: Uint32Array;
  // The system reads and writes these: they must live as long as the piece does.
  readonly #arena: Uint8Array<ArrayBuffer>;
  readonly #prefix: Uint8Array<ArrayBuffer> | undefined;
  readonly #arenaAddress: number;

  constructor(
    arena: Uint8Array<ArrayBuffer>,
    prefix?: Uint8Array<ArrayBuffer>,
  ) {
    this.#arena = arena;
    this.#prefix = prefix;
    this.#arenaAddress = addressOf(arena);
    this.count = prefix === undefined ? 1 : 2;
    const buffer = new ArrayBuffer(iovec.size * this.count);
    this.#words = new Uint32Array(buffer);
    this.iovec = new Uint8Array(buffer);
    if (this.#prefix !== undefined) {
      this.#name(0, addressOf(this.#prefix), this.#prefix.length);
    }
  }

  /** Makes it name arena[at .. at + length), cut at the arena's end. */
  set(at: number, length: number): void {
    const inside = Math.min(length, this.#arena.length - at);
    const last = (this.count - 1) * IOVEC_WORDS;
    this.#name(last, this.#arenaAddress + at, inside);
  }

  #name(word: number, address: number, length: number): void {
    this.#words[word + ADDRESS_LOW] = address;
    this.#words[word + ADDRESS_HIGH] = address / TWO_32;
    this.#words[word + LENGTH_LOW] = length;
  }
}

/**
 * Writes all ToHost rows of a batch, one packet a call.
 * @returns rows that the device refused.
 */
export function writeSingly(
  libc: Libc,
  descriptor: number,
  piece: ArenaPiece,
  batch: Batch,
): number {
  const { call } = libc;
  let refused = 0;
  for (let row = 0; row < batch.count; row++) {
    if (batch.verdict[row] !== Verdict.ToHost) continue;
    piece.set(batch.offset[row], batch.length[row]);
    if (call.writev(descriptor, piece.iovec, piece.count) < 0) refused++;
  }
  return refused;
}
