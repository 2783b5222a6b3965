/**
 * Deadlines by id: a binary heap that knows where each id stands, so that a
 * deadline can be moved or taken out. Ids are rows of some table. Equal
 * deadlines come out by id, so that runs repeat. Nothing allocates after
 * construction.
 */

/** Stands for «not in the heap» in the column of places. */
const ABSENT = -1;

/** At most one deadline for each id below `capacity`. */
export class DeadlineQueue {
  /** Per id: its deadline. */
  readonly #deadlines: Float64Array;
  /** Per id: its place in the heap. */
  readonly #places: Int32Array;
  /** The ids, each no later than those at twice its place + 1 and + 2. */
  readonly #heap: Int32Array;
  #size = 0;

  /** @param capacity ids run from 0 to this, exclusive */
  constructor(capacity: number) {
    this.#deadlines = new Float64Array(capacity).fill(Infinity);
    this.#places = new Int32Array(capacity).fill(ABSENT);
    this.#heap = new Int32Array(capacity);
  }

  /** Ids that have a deadline. */
  get size(): number {
    return this.#size;
  }

  /** The deadline of an id, or Infinity. */
  deadline(id: number): number {
    return this.#deadlines[id];
  }

  /** Gives an id a deadline or moves it; Infinity takes it out. */
  set(id: number, deadline: number): void {
    if (deadline === Infinity) {
      this.clear(id);
      return;
    }
    this.#deadlines[id] = deadline;
    let place = this.#places[id];
    if (place === ABSENT) {
      place = this.#size++;
      this.#put(place, id);
    }
    this.#settle(place);
  }

  /** Takes an id's deadline away, if it has one. */
  clear(id: number): void {
    const place = this.#places[id];
    if (place === ABSENT) return;
    this.#places[id] = ABSENT;
    this.#deadlines[id] = Infinity;
    const last = --this.#size;
    if (place === last) return;
    this.#put(place, this.#heap[last]);
    this.#settle(place);
  }

  /** The earliest deadline, or Infinity. */
  next(): number {
    return this.#size === 0 ? Infinity : this.#deadlines[this.#heap[0]];
  }

  /** Takes out an id whose deadline is `now` or earlier, earliest first; -1 where none is. */
  popDue(now: number): number {
    if (this.#size === 0) return -1;
    const id = this.#heap[0];
    if (this.#deadlines[id] > now) return -1;
    this.clear(id);
    return id;
  }

  #put(place: number, id: number): void {
    this.#heap[place] = id;
    this.#places[id] = place;
  }

  #before(a: number, b: number): boolean {
    const difference = this.#deadlines[a] - this.#deadlines[b];
    return difference < 0 || (difference === 0 && a < b);
  }

  /** Moves the id at a place up or down to where it belongs. */
  #settle(start: number): void {
    const id = this.#heap[start];
    let place = start;
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      if (!this.#before(id, this.#heap[parent])) break;
      this.#put(place, this.#heap[parent]);
      place = parent;
    }
    for (;;) {
      let child = place * 2 + 1;
      if (child >= this.#size) break;
      if (
        child + 1 < this.#size &&
        this.#before(this.#heap[child + 1], this.#heap[child])
      ) child++;
      if (!this.#before(this.#heap[child], id)) break;
      this.#put(place, this.#heap[child]);
      place = child;
    }
    this.#put(place, id);
  }
}
