/**
 * Hears what workers have written to their rings: each of them adds to a cell,
 * the bell, and wakes whoever waits on it.
 */

/** What is done about it. */
export interface BellWatchOptions {
  /** Reads the rings. */
  readonly read: () => void;
  /**
   * How often they are read without a bell, in ms: were a wake-up ever lost, what
   * they hold would wait for the next bell for ever.
   */
  readonly reviewMs: number;
}

/** Reads rings from `start` to `stop`. */
export class BellWatch {
  readonly #bell: Int32Array;
  readonly #options: BellWatchOptions;
  #review: ReturnType<typeof setInterval> | undefined;
  #isRunning = false;

  constructor(bell: Int32Array, options: BellWatchOptions) {
    this.#bell = bell;
    this.#options = options;
  }

  /** Starts to listen. */
  start(): void {
    const { reviewMs } = this.#options;
    this.#isRunning = true;
    this.#listen();
    this.#review = setInterval(() => this.#read(), reviewMs);
  }

  /** Ends it; nothing is read any more. */
  stop(): void {
    this.#isRunning = false;
    clearInterval(this.#review);
    Atomics.notify(this.#bell, 0);
  }

  async #listen(): Promise<void> {
    const bell = this.#bell;
    while (this.#isRunning) {
      const seen = Atomics.load(bell, 0);
      this.#read();
      const wait = Atomics.waitAsync(bell, 0, seen);
      if (wait.async) await wait.value;
      // Timers and signals get their turn even while workers are loud.
      else await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  #read(): void {
    if (this.#isRunning) this.#options.read();
  }
}
