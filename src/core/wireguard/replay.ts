/**
 * Anti-replay windows (RFC 6479, WireGuard paper section 5.4.6), one a session.
 *
 * A ring of 256 words of 32 bits. Moving forward clears whole words, never
 * bits; so 64 of the 8192 bits are given away and 8128 counters behind the
 * greatest remain usable, as in the other implementations.
 *
 *     word:  ...| B-1 |  B  | B+1 |...       B = (greatest >> 5) mod 256
 *                      ^^^^^ greatest        words behind B, round the ring,
 *                                            hold older counters
 *
 * One writer: the thread that opens packets. The control thread resets a row
 * only while no packet can reach it.
 */
import type { ColumnAllocator } from "../columns/columns.ts";

/** How far a counter may lie behind the greatest one seen. */
export const REPLAY_WINDOW = 8128;

const WORDS = 256;
const TWO_POW_53 = 2 ** 53;

/** Bytes of one row's bitmap. */
export const REPLAY_ROW_BYTES = WORDS * 4;

/** The windows of all sessions. */
export class ReplayWindows {
  readonly #bits: Int32Array;
  readonly #greatest: Float64Array;

  /** Takes `capacity` rows of 1 KB and 8 bytes from the allocator. */
  constructor(columns: ColumnAllocator, capacity: number) {
    this.#bits = columns.int32(capacity * WORDS);
    this.#greatest = columns.float64(capacity);
  }

  /** Forgets every counter of a row. */
  reset(row: number): void {
    this.#bits.fill(0, row * WORDS, (row + 1) * WORDS);
    this.#greatest[row] = 0;
  }

  /**
   * Marks a counter as seen; call it only for an authenticated packet.
   * @returns false where the counter was seen before, is too old, or is not
   * an exact integer in 0 .. 2^53-1.
   */
  accept(row: number, counter: number): boolean {
    if (!(counter >= 0 && counter < TWO_POW_53)) return false;
    const greatest = this.#greatest[row];
    const bits = this.#bits;
    const base = row * WORDS;
    if (counter > greatest) {
      let first = Math.floor(greatest / 32) + 1;
      const last = Math.floor(counter / 32);
      if (last - first >= WORDS) first = last - WORDS + 1;
      for (let block = first; block <= last; block++) {
        bits[base + block % WORDS] = 0;
      }
      this.#greatest[row] = counter;
    } else if (greatest - counter > REPLAY_WINDOW) {
      return false;
    }
    const at = base + Math.floor(counter / 32) % WORDS;
    const bit = 1 << counter % 32;
    const word = bits[at];
    if ((word & bit) !== 0) return false;
    bits[at] = word | bit;
    return true;
  }
}
