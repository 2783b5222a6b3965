/** Cached views of an arena, for FFI calls that take a pointer into it. */

/** Entries; a pump touches a few hundred different offsets. */
const SIZE_LOG2 = 13;

/**
 * Views by offset. FFI takes only the address of a view, so one that runs to
 * the arena's end serves every length. The cache is direct-mapped, hence
 * bounded; a miss costs one new view.
 */
export class ArenaViews {
  readonly #arena: Uint8Array<ArrayBuffer>;
  readonly #offsets = new Int32Array(1 << SIZE_LOG2);
  readonly #views: Uint8Array<ArrayBuffer>[];

  constructor(arena: Uint8Array<ArrayBuffer>) {
    this.#arena = arena;
    this.#views = new Array(1 << SIZE_LOG2).fill(arena); // offset 0, as #offsets says
  }

  /** A view that starts at `offset`. */
  at(offset: number): Uint8Array<ArrayBuffer> {
    const slot = Math.imul(offset, 0x9e3779b1) >>> (32 - SIZE_LOG2);
    if (this.#offsets[slot] === offset) return this.#views[slot]!;
    const view = this.#arena.subarray(offset);
    this.#offsets[slot] = offset;
    this.#views[slot] = view;
    return view;
  }
}
