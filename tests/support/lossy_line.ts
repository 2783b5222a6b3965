/**
 * One direction of a bad network: loses, holds back and doubles datagrams by a
 * seed. Knows nothing of sockets or time.
 */
import { SeededRandom } from "../core/columns/seeded_random.ts";

/** How datagrams are treated; probabilities from 0 to 1. */
export interface LineWeather {
  readonly loss: number;
  /** Held back until 1 to 8 later ones have passed. */
  readonly reordering: number;
  readonly duplication: number;
}

/** Everything arrives once, in order. */
export const FINE: LineWeather = { loss: 0, reordering: 0, duplication: 0 };
/** What the long transfers are sent through. */
export const ROUGH: LineWeather = {
  loss: 0.01,
  reordering: 0.05,
  duplication: 0.01,
};

/** What a line has done so far. */
export interface LineCount {
  readonly taken: number;
  readonly lost: number;
  /** Those that came out behind one which went in after them. */
  readonly reordered: number;
  readonly duplicated: number;
}

interface Held<T> {
  readonly datagram: T;
  /** How many more pass before it. */
  remaining: number;
  readonly size: number;
}

const MOST_BEHIND = 8;

/** A line for datagrams of any form. */
export class LossyLine<T> {
  readonly #weather: LineWeather;
  readonly #random: SeededRandom;
  readonly #keep: (datagram: T) => T;
  #held: Held<T>[] = [];
  #count = { taken: 0, lost: 0, reordered: 0, duplicated: 0 };

  /** @param keep makes a copy of a datagram that outlives the call of `take`. */
  constructor(
    weather: LineWeather,
    options: { readonly seed: number; readonly keep: (datagram: T) => T },
  ) {
    this.#weather = weather;
    this.#random = new SeededRandom(options.seed);
    this.#keep = options.keep;
  }

  /** Takes a datagram and appends what comes out now. */
  take(datagram: T, out: T[]): void {
    const { loss, reordering, duplication } = this.#weather;
    this.#count.taken++;
    if (this.#chance(loss)) {
      this.#count.lost++;
      return;
    }
    if (this.#chance(reordering)) {
      const size = 1 + this.#random.below(MOST_BEHIND);
      this.#held.push({
        datagram: this.#keep(datagram),
        remaining: size,
        size,
      });
      return;
    }
    out.push(datagram);
    if (this.#chance(duplication)) {
      this.#count.duplicated++;
      out.push(datagram);
    }
    this.#passHeld(out);
  }

  /** Gives up what is held: nothing follows that it could be behind. */
  flush(out: T[]): void {
    for (const { datagram, remaining, size } of this.#held) {
      if (remaining < size) this.#count.reordered++;
      out.push(datagram);
    }
    this.#held = [];
  }

  /** What it has done. */
  get count(): LineCount {
    return { ...this.#count };
  }

  /** Whether datagrams are held back. */
  get holds(): boolean {
    return this.#held.length > 0;
  }

  #passHeld(out: T[]): void {
    if (this.#held.length === 0) return;
    this.#held = this.#held.filter((held) => {
      if (--held.remaining > 0) return true;
      this.#count.reordered++;
      out.push(held.datagram);
      return false;
    });
  }

  #chance(probability: number): boolean {
    return probability > 0 && this.#random.next() < probability * 2 ** 32;
  }
}
