/** Values of several contenders, gathered round by round. */
import type { Series } from "./throughput.ts";

/** One measured value. */
export type Value = readonly [
  name: string,
  unit: string,
  better: Series["better"],
  value: number,
];

/** Gathers values by name, in the order in which they first come. */
export class Recorder {
  readonly #series = new Map<string, Series>();

  /** Adds what a contender had in one round. */
  add(contender: string, values: readonly Value[]): void {
    for (const [name, unit, better, value] of values) {
      const row = this.#series.get(name) ??
        { name, unit, better, values: new Map() };
      this.#series.set(name, row);
      const all = row.values.get(contender) ?? [];
      row.values.set(contender, [...all, value]);
    }
  }

  /** Everything so far. */
  get series(): Series[] {
    return [...this.#series.values()];
  }
}
