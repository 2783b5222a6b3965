/** Counts of things that happen now and then, by name, for people. */

/** Counters that come to be when they are first added to. */
export class NamedCounters {
  readonly #counts = new Map<string, number>();

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** Those that are not 0. */
  snapshot(): Record<string, number> {
    return Object.fromEntries(
      [...this.#counts].filter(([, count]) => count !== 0),
    );
  }
}
