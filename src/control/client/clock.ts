/** Time as the control plane takes it, so that tests step it by hand. */

/** A monotonic clock with timers; the same one as the carrying threads have. */
export interface Clock {
  /** In ms. */
  now(): number;
  /** Runs something once, later; disposing of it in time keeps it from running. */
  after(delayMs: number, run: () => void): Disposable;
}
