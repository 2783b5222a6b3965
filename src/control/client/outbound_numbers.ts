/**
 * Numbers of ways out. A tunnel keeps its number for as long as it is there; a
 * number that is free again is given to another tunnel only when no flow has it
 * any more, and the one that was free for longest first.
 */

/** Numbers by name. */
export class OutboundNumbers {
  readonly #byName = new Map<string, number>();
  readonly #names: (string | undefined)[];
  /** Free ones, the longest free first. */
  readonly #free: number[];
  readonly #isUsed: (outbound: number) => boolean;

  /**
   * @param options.count numbers are from 1 to one less than this.
   * @param options.isUsed whether flows have a number still.
   */
  constructor(
    { count, isUsed }: {
      count: number;
      isUsed: (outbound: number) => boolean;
    },
  ) {
    this.#isUsed = isUsed;
    this.#names = new Array(count).fill(undefined);
    this.#free = Array.from({ length: count - 1 }, (_, i) => i + 1);
  }

  /** A name's number, a new one where it has none; undefined where all are taken. */
  take(name: string): number | undefined {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const at = this.#free.findIndex((outbound) => !this.#isUsed(outbound));
    if (at < 0) return undefined;
    const [outbound] = this.#free.splice(at, 1);
    this.#byName.set(name, outbound);
    this.#names[outbound] = name;
    return outbound;
  }

  /** Who has a number; undefined where nobody has. */
  nameOf(outbound: number): string | undefined {
    return this.#names[outbound];
  }

  /** Gives a name's number back. */
  release(name: string): void {
    const outbound = this.#byName.get(name);
    if (outbound === undefined) return;
    this.#byName.delete(name);
    this.#names[outbound] = undefined;
    this.#free.push(outbound);
  }
}
