/** Whether the machine slept, by a clock that counts through sleep and one that does not. */

/** Less than that is the reading of two clocks one after the other. */
const SLEEP_MS = 500;

/** Milliseconds of the two clocks: through sleep, and awake only. */
export interface SleepClocks {
  readonly boot: number;
  readonly awake: number;
}

/** The difference of two clocks over time. */
export class SleepMeter {
  #asleep: number;

  constructor(clocks: SleepClocks) {
    this.#asleep = clocks.boot - clocks.awake;
  }

  /** How long the machine slept since the last call; 0 where it did not. */
  slept(clocks: SleepClocks): number {
    const asleep = clocks.boot - clocks.awake;
    const slept = asleep - this.#asleep;
    if (slept < SLEEP_MS) return 0;
    this.#asleep = asleep;
    return slept;
  }
}
