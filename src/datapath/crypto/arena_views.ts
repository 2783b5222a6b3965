/** Cached views of an arena, for FFI calls that take a pointer into it. */

/** Sets of entries; a pump touches several hundred different offsets. */
const SETS_LOG2 = 12;
const WAYS = 4;

/**
 * Views by offset. FFI takes only the address of a view, so one that runs to
 * the arena's end serves every length. The cache is bounded: an offset may lie
 * in any of four places, and the eldest of them gives way. A miss costs one new
 * view.
 */
export class ArenaViews {
  readonly #arena: Uint8Array<ArrayBuffer>;
  readonly #offsets = new Int32Array(WAYS << SETS_LOG2);
  readonly #views: Uint8Array<ArrayBuffer>[];
  /** The place in each set that is replaced next. */
  readonly #next = new Uint8Array(1 << SETS_LOG2);

  constructor(arena: Uint8Array<ArrayBuffer>) {
    this.#arena = arena;
    this.#views = new Array(WAYS << SETS_LOG2).fill(arena); // offset 0, as #offsets says
  }

  /** A view that starts at `offset`. */
  at(offset: number): Uint8Array<ArrayBuffer> {
    const offsets = this.#offsets;
    const set = Math.imul(offset, 0x9e3779b1) >>> (32 - SETS_LOG2);
    const first = set * WAYS;
    for (let entry = first; entry < first + WAYS; entry++) {
      if (offsets[entry] === offset) return this.#views[entry];
    }
    const entry = first + this.#next[set];
    this.#next[set] = (this.#next[set] + 1) % WAYS;
    const view = this.#arena.subarray(offset);
    offsets[entry] = offset;
    this.#views[entry] = view;
    return view;
  }
}
