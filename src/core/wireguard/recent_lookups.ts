/**
 * What a thread has looked up lately: a direct-mapped cache of answers, so that
 * the cost of a packet does not grow with the depth of a table. Each answer
 * holds for one version of the table; addresses that meet in a cell displace
 * each other.
 *
 *     cells   address words 4 | version | answer + 2     x ENTRIES
 */

/** What {@linkcode RecentLookups.find} gives where nothing is known. */
export const UNKNOWN = -2;

const ENTRIES = 16384;
const CELLS = 6;
const VERSION = 4;
const ANSWER = 5;

/** The cache of one thread. */
export class RecentLookups {
  readonly #cells = new Int32Array(ENTRIES * CELLS);

  /** The answer for the 4 words from `i` in the version of the table, or UNKNOWN. */
  find(words: Int32Array | Uint32Array, i: number, version: number): number {
    const cells = this.#cells;
    const at = cellOf(words, i);
    return cells[at + VERSION] === version &&
        cells[at + 3] === (words[i + 3] | 0) &&
        cells[at + 2] === (words[i + 2] | 0) &&
        cells[at + 1] === (words[i + 1] | 0) && cells[at] === (words[i] | 0)
      ? cells[at + ANSWER] + UNKNOWN
      : UNKNOWN;
  }

  /** Notes an answer, -1 or more, that was found in the version of the table. */
  note(
    words: Int32Array | Uint32Array,
    i: number,
    version: number,
    answer: number,
  ): void {
    const cells = this.#cells;
    const at = cellOf(words, i);
    cells[at] = words[i];
    cells[at + 1] = words[i + 1];
    cells[at + 2] = words[i + 2];
    cells[at + 3] = words[i + 3];
    cells[at + VERSION] = version;
    cells[at + ANSWER] = answer - UNKNOWN;
  }
}

function cellOf(words: Int32Array | Uint32Array, i: number): number {
  let hash = Math.imul(words[i] ^ Math.imul(words[i + 1], 5), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15) ^ words[i + 2], 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 13) ^ words[i + 3], 0x9e3779b1);
  return (hash >>> 18) * CELLS;
}
