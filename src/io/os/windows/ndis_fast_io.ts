/**
 * A section of memory that the driver writes frames to without being asked.
 *
 *     | frames, u16 | a write goes on, u16 | a read goes on, u32 | frames back to back |
 *
 *     read    count is not 0
 *             say that a read goes on: the driver begins no further write
 *             read the count again: n
 *             take n - 1, which are whole
 *             wait until no write goes on: then the last is whole, too
 *             where that write was one more, take it as well
 *             count = 0, and no read goes on
 *
 * The driver changes the first word in one piece. It uses another section, or
 * its queue, while a section is read or full.
 */
import {
  fastIoSectionHeader,
  intermediateBuffer,
} from "../../../../ffi/windows/layouts/ndisapi.ts";

/** Bytes before the first frame. */
export const SECTION_HEADER = fastIoSectionHeader.size;
const COUNT_MASK = 0xffff;
const WORD = 0;
const READING = 1;
/** Looks at a write that goes on; one takes far less than a microsecond. */
const SPINS = 1 << 24;

/** Copies `length` bytes from `from` in the section to `to` in the reader's memory. */
export type SectionCopy = (to: number, from: number, length: number) => void;

/** See the file header. */
export class FastIoSection {
  /** Frames that it has room for. */
  readonly capacity: number;
  readonly #cells: Int32Array;
  readonly #copy: SectionCopy;

  /** @param memory the section, whole. */
  constructor(memory: ArrayBuffer | SharedArrayBuffer, copy: SectionCopy) {
    const { size } = intermediateBuffer;
    this.capacity = Math.floor((memory.byteLength - SECTION_HEADER) / size);
    this.#cells = new Int32Array(memory, 0, 2);
    this.#copy = copy;
  }

  /** Whether frames wait. */
  get isFilled(): boolean {
    return (Atomics.load(this.#cells, WORD) & COUNT_MASK) !== 0;
  }

  /**
   * Takes all frames that wait, back to back.
   * @param to where they go; there is room for {@linkcode capacity}
   * @returns frames
   * @throws {Error} where the driver has died over a write.
   */
  take(to: number): number {
    const cells = this.#cells;
    if ((Atomics.load(cells, WORD) & COUNT_MASK) === 0) return 0;
    const { size } = intermediateBuffer;
    Atomics.store(cells, READING, 1);
    const count = Atomics.load(cells, WORD) & COUNT_MASK;
    if (count > 1) this.#copy(to, SECTION_HEADER, (count - 1) * size);
    const word = this.#settled();
    // The write that went on may have been of one more.
    const left = (word & COUNT_MASK) - count + 1;
    const last = count - 1;
    this.#copy(to + last * size, SECTION_HEADER + last * size, left * size);
    Atomics.store(cells, WORD, 0);
    Atomics.store(cells, READING, 0);
    return count - 1 + left;
  }

  /** The first word, when no write goes on. */
  #settled(): number {
    for (let left = SPINS; left > 0; left--) {
      const word = Atomics.load(this.#cells, WORD);
      if (word >>> 16 === 0) return word;
    }
    throw new Error("the driver has not ended a write");
  }
}
