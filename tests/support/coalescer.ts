/**
 * Coalescing before the write to a TUN device with vnet headers: the packets of
 * a batch become as few packets and TCP or UDP super-packets as Linux's GRO
 * rules allow, over any number of interleaved flows. A flow keeps its order.
 */
import type { Kernels } from "../../src/datapath/kernels/kernels.ts";

/** Bytes of a table's row: offset and length of a packet. */
export const COALESCE_ROW_BYTES = 8;
/** Rows of a table at most. */
export const COALESCE_MAX_ROWS = 1024;
/** Bytes of the vnet header before each result. */
export const VNET_HEADER_LENGTH = 10;

const TCP = 1, UDP = 2, IN_PLACE = 4;

/** What the device takes and where the table is. */
export interface CoalescerOptions {
  /** The device takes TCP super-packets (TUN_F_TSO4 and TUN_F_TSO6). */
  readonly tcp: boolean;
  /** The device takes UDP super-packets (TUN_F_USO4 and TUN_F_USO6). */
  readonly udp: boolean;
  /**
   * "overwrite" where the 10 bytes before each packet are free for its vnet
   * header, so that a packet that stays alone is not copied; else "copy".
   */
  readonly bytesBefore: "overwrite" | "copy";
  /** Where the table lies in the arena, aligned to 4. */
  readonly tableAt: number;
  /** Packets that the table has room for, COALESCE_ROW_BYTES each. */
  readonly rows: number;
}

/** Takes packets, then turns them into what is to be written. */
export class Coalescer {
  /** Packets taken, or after {@linkcode coalesce} the writes to make. */
  count = 0;
  readonly #kernels: Kernels;
  readonly #tableAt: number;
  readonly #rows: number;
  readonly #flags: number;
  readonly #table: Int32Array;

  /** @throws RangeError for more than COALESCE_MAX_ROWS rows. */
  constructor(kernels: Kernels, options: CoalescerOptions) {
    if (options.rows > COALESCE_MAX_ROWS) {
      throw new RangeError(
        `a batch of ${options.rows} packets, at most ${COALESCE_MAX_ROWS}`,
      );
    }
    this.#kernels = kernels;
    this.#tableAt = options.tableAt;
    this.#rows = options.rows;
    this.#flags = (options.tcp ? TCP : 0) | (options.udp ? UDP : 0) |
      (options.bytesBefore === "overwrite" ? IN_PLACE : 0);
    this.#table = new Int32Array(
      kernels.bytes.buffer,
      options.tableAt,
      options.rows * 2,
    );
  }

  /** Starts a new batch. */
  clear(): void {
    this.count = 0;
  }

  /**
   * Takes the IP packet of `length` bytes at `at`; padding behind it may be included.
   * @returns false where the table is full.
   */
  add(at: number, length: number): boolean {
    const row = this.count;
    if (row === this.#rows) return false;
    this.#table[2 * row] = at;
    this.#table[2 * row + 1] = length;
    this.count = row + 1;
    return true;
  }

  /**
   * Coalesces what was added; super-packets, and with "copy" all packets, go to
   * the arena from `out` on, which must not overlap them. The sum of the
   * packets' lengths and 10 bytes for each is always enough.
   * @returns the number of writes to make.
   * @throws RangeError where the output is too small.
   */
  coalesce(out: number, outEnd: number): number {
    const rows = this.#kernels.coalesce(
      this.#tableAt,
      this.count,
      out,
      outEnd,
      this.#flags,
    );
    if (rows < 0) {
      throw new RangeError(`no room to coalesce ${this.count} packets`);
    }
    this.count = rows;
    return rows;
  }

  /** Where write `i` starts: its vnet header. */
  offset(i: number): number {
    return this.#table[2 * i]!;
  }

  /** Bytes of write `i`, its vnet header included. */
  length(i: number): number {
    return this.#table[2 * i + 1]!;
  }
}
