/**
 * Segmentation of what a TUN device with vnet headers gives: one packet, or a
 * TCP or UDP super-packet of up to 64 KB, to packets as they go over the wire.
 *
 * The packets lie in the arena ready for sealing, so that the messages of one
 * super-packet are one piece of memory and all but the last are of equal size:
 *
 *     | headroom | packet | zeros | tailroom | headroom | packet | ...
 *     ^ out                                  ^ nextAt after one packet
 */
import type { Kernels } from "../../src/datapath/kernels/kernels.ts";

/** Bytes of a table's row: offset and length of a packet. */
export const SEGMENT_ROW_BYTES = 8;

/** The layout of the packets. */
export interface SegmenterOptions {
  /** Bytes before each packet: the tunnel's prefix and header. */
  readonly headroom: number;
  /** Bytes behind each packet's padding: the tag. */
  readonly tailroom: number;
  /**
   * Packets are filled with zeros to a multiple of 16, but not past this many
   * bytes: the tunnel's MTU. 0 fills nothing.
   */
  readonly padLimit: number;
  /** Where the table lies in the arena, aligned to 4. */
  readonly tableAt: number;
  /** Packets that the table has room for, SEGMENT_ROW_BYTES each. */
  readonly rows: number;
}

/** Segments one source after the other; the table holds the last one's packets. */
export class Segmenter {
  /** Where the next message would go: behind the last one. */
  nextAt = 0;
  /** Packets of the last source. */
  count = 0;
  readonly #kernels: Kernels;
  readonly #options: SegmenterOptions;
  readonly #tableEnd: number;
  readonly #table: Int32Array;

  constructor(kernels: Kernels, options: SegmenterOptions) {
    this.#kernels = kernels;
    this.#options = options;
    this.#tableEnd = options.tableAt + options.rows * SEGMENT_ROW_BYTES;
    this.#table = new Int32Array(
      kernels.bytes.buffer,
      options.tableAt,
      options.rows * 2,
    );
  }

  /**
   * Segments `length` bytes (a vnet header of 10 bytes and a packet) at `at`
   * into the arena from `out` to `outEnd`, which must not overlap the source.
   * @returns the number of packets; 0 where the source is malformed, -1 where
   *   table or output are too small. Then the output's bytes are worthless.
   */
  segment(at: number, length: number, out: number, outEnd: number): number {
    const { headroom, tailroom, padLimit, tableAt } = this.#options;
    const count = this.#kernels.segment(
      at,
      length,
      out,
      outEnd,
      headroom,
      tailroom,
      padLimit,
      tableAt,
      this.#tableEnd,
    );
    this.count = Math.max(count, 0);
    this.nextAt = count > 0 ? this.#end(count - 1) : out;
    return count;
  }

  /** Where packet `i` starts. */
  offset(i: number): number {
    return this.#table[2 * i]!;
  }

  /** Bytes of packet `i`, without padding. */
  length(i: number): number {
    return this.#table[2 * i + 1]!;
  }

  /** Where the message of packet `i` ends. */
  #end(i: number): number {
    const { tailroom, padLimit } = this.#options;
    const length = this.length(i), padded = (length + 15) & ~15;
    return this.offset(i) +
      (padded <= padLimit ? padded : Math.max(length, padLimit)) + tailroom;
  }
}
