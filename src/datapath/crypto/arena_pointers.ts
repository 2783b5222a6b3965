/** Cached pointers into an arena, for FFI calls. */

/** Sets of entries; a pump touches several hundred different offsets. */
const SETS_LOG2 = 12;
const WAYS = 4;

/**
 * Pointers by offset: a ready pointer costs an FFI call a third of what a view
 * does, and making one costs more than the call. The cache is bounded: an offset
 * may lie in any of four places, and the eldest of them gives way.
 */
export class ArenaPointers {
  /** Kept alive as long as pointers into it are in use. */
  readonly #arena: Uint8Array<ArrayBuffer>;
  readonly #base: Deno.PointerObject;
  readonly #offsets = new Int32Array(WAYS << SETS_LOG2);
  readonly #pointers: Deno.PointerValue[];
  /** The place in each set that is replaced next. */
  readonly #next = new Uint8Array(1 << SETS_LOG2);

  constructor(arena: Uint8Array<ArrayBuffer>) {
    this.#arena = arena;
    this.#base = pointerOf(this.#arena);
    // Offset 0, as #offsets says.
    this.#pointers = new Array(WAYS << SETS_LOG2).fill(this.#base);
  }

  /** A pointer to the byte at `offset`. */
  at(offset: number): Deno.PointerValue {
    const offsets = this.#offsets;
    const set = Math.imul(offset, 0x9e3779b1) >>> (32 - SETS_LOG2);
    const first = set * WAYS;
    for (let entry = first; entry < first + WAYS; entry++) {
      if (offsets[entry] === offset) return this.#pointers[entry];
    }
    const entry = first + this.#next[set];
    this.#next[set] = (this.#next[set] + 1) % WAYS;
    const pointer = Deno.UnsafePointer.offset(this.#base, offset);
    offsets[entry] = offset;
    this.#pointers[entry] = pointer;
    return pointer;
  }
}

/** The address of a view's bytes; the caller keeps the view alive. */
export function pointerOf(view: BufferSource): Deno.PointerObject {
  const pointer = Deno.UnsafePointer.of(view);
  if (pointer === null) throw new TypeError("an empty view has no address");
  return pointer;
}
