/**
 * How several workers serve one direction and keep its order: input one at a
 * time, the work beside each other, output in the order of the input.
 *
 *     worker 1   [ input 0 ][ work 0       ][ output 0 ][ input 2 ] ...
 *     worker 2              [ input 1 ][ work 1 ]......[ output 1 ] ...
 *
 * A lock guards the input. Whoever has it draws a ticket for what it took, and
 * waits for that ticket's turn before the output. So input and output each have
 * one worker at a time, and what is written there needs no Atomics of its own.
 *
 * Waiting workers sleep in the kernel (Atomics.wait), each on a cell of its own
 * turn, so that passing a turn on wakes one of them and no herd.
 */

/** Workers that may share a turnstile; a power of two. */
export const TURNSTILE_WORKERS = 16;

// Cells.
const LOCK = 0;
const DRAWN = 1;
const TURNS = 2;
const CELLS = TURNS + TURNSTILE_WORKERS;

// The lock, as in «Futexes Are Tricky» (Drepper), mutex 2.
const FREE = 0;
const HELD = 1;
const WAITED_FOR = 2;

/** Looks at a turn before sleeping: what a short output takes. */
const TRIES = 50;

/** One worker's view of a turnstile. */
export class Turnstile {
  /** Bytes of the shared buffer. */
  static readonly byteLength = CELLS * 4;

  readonly #cells: Int32Array;

  /** @param buffer zeroed, or one that another worker uses already. */
  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer, 0, CELLS);
  }

  /** Waits until no other worker is at the input. */
  enter(): void {
    const cells = this.#cells;
    if (Atomics.compareExchange(cells, LOCK, FREE, HELD) === FREE) return;
    while (Atomics.exchange(cells, LOCK, WAITED_FOR) !== FREE) {
      Atomics.wait(cells, LOCK, WAITED_FOR);
    }
  }

  /** Lets the next worker to the input. */
  leave(): void {
    const cells = this.#cells;
    if (Atomics.exchange(cells, LOCK, FREE) === WAITED_FOR) {
      Atomics.notify(cells, LOCK, 1);
    }
  }

  /** Draws a ticket, between {@linkcode enter} and {@linkcode leave}. */
  draw(): number {
    const cells = this.#cells;
    const ticket = cells[DRAWN];
    cells[DRAWN] = (ticket + 1) | 0;
    return ticket;
  }

  /** Waits until all earlier tickets have passed. */
  await(ticket: number): void {
    const cells = this.#cells;
    const cell = turnOf(ticket);
    for (let left = TRIES;; left--) {
      const turn = Atomics.load(cells, cell);
      if (turn === ticket) return;
      if (left <= 0) Atomics.wait(cells, cell, turn);
    }
  }

  /** Ends a ticket's turn, after {@linkcode await}. */
  pass(ticket: number): void {
    const next = (ticket + 1) | 0;
    const cell = turnOf(next);
    Atomics.store(this.#cells, cell, next);
    Atomics.notify(this.#cells, cell, 1);
  }
}

/**
 * The cell that tells of a ticket's turn. A worker has one ticket at a time, so
 * of the tickets that are out no two share a cell. Zeros are ticket 0's turn.
 */
function turnOf(ticket: number): number {
  return TURNS + (ticket & (TURNSTILE_WORKERS - 1));
}
