/**
 * Which external ports to try for a mapping, in order: RFC 4787 REQ-3 (stay in
 * the class 0-1023 or 1024-65535), REQ-4 (the same port, else the same parity)
 * and REQ-11 (deterministic: the order follows from the wanted port alone).
 *
 *     the port itself
 *     same class, same parity    \
 *     same class, other parity    | at most TRIES_PER_LANE each
 *     for a wanted port < 1024 then 1024-65535 in the same way
 *
 * Echo identifiers use it too; they have no classes, but an order is an order.
 */

/** Candidates taken from one class and parity: bounds the work for one mapping. */
export const TRIES_PER_LANE = 64;

// A prime, so that it has no factor in common with most lane sizes; the lanes
// are walked in strides because neighbours of a busy port tend to be busy.
const STRIDE = 7919;
const FIRST_UNPRIVILEGED = 1024;
const LANES = 4;

/** One walk over the candidates; reused, so that it allocates nothing. */
export class PortSequence {
  #wanted = 0;
  #first = 0;
  #last = 0;
  #lane = 0;
  #try = 0;

  /** Starts a walk for a wanted port within `first` .. `last`. */
  start(wanted: number, first: number, last: number): void {
    this.#wanted = wanted;
    this.#first = Math.max(1, first);
    this.#last = last;
    this.#lane = wanted >= this.#first && wanted <= last ? -1 : 0;
    this.#try = 0;
  }

  /** The next candidate, or -1 where there is none left. */
  next(): number {
    if (this.#lane === -1) {
      this.#lane = 0;
      return this.#wanted;
    }
    while (this.#lane < LANES) {
      const port = this.#nextOfLane();
      if (port >= 0) {
        if (port !== this.#wanted) return port;
      } else {
        this.#lane++;
        this.#try = 0;
      }
    }
    return -1;
  }

  /** Gives up the ports below 1024 (the system does not permit them). */
  skipPrivileged(): void {
    if (this.#wanted < FIRST_UNPRIVILEGED && this.#lane < 2) {
      this.#lane = 2;
      this.#try = 0;
    }
  }

  /** Lanes 0 and 1 are the wanted port's class, 2 and 3 what a low port falls back to. */
  #nextOfLane(): number {
    const low = this.#wanted < FIRST_UNPRIVILEGED;
    if (this.#lane >= 2 && !low) return -1;
    const inLow = low && this.#lane < 2;
    const first = Math.max(this.#first, inLow ? 1 : FIRST_UNPRIVILEGED);
    const last = Math.min(this.#last, inLow ? FIRST_UNPRIVILEGED - 1 : 65535);
    const parity = (this.#wanted ^ this.#lane) & 1;
    const start = first + ((first ^ parity) & 1);
    const size = last < start ? 0 : ((last - start) >> 1) + 1;
    if (this.#try >= Math.min(size, TRIES_PER_LANE)) return -1;
    const stride = size % STRIDE === 0 ? 1 : STRIDE;
    const index = ((this.#wanted >> 1) + this.#try * stride) % size;
    this.#try++;
    return start + index * 2;
  }
}
