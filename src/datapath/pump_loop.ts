/**
 * The loops that run pumps: wait, then for each batch
 *
 *     take      input, one batch: rows with their order
 *     work      what costs most and needs no order: crypto
 *     finish    output, in the order of take
 *
 * {@linkcode runPumps} runs one pump or several in one thread, without any
 * lock. {@linkcode runInTurns} runs a pump that other threads run too: each has
 * an instance of its own; take and finish are done by one of them at a time.
 */
import type { Poller } from "../io/ports.ts";
import type { Turnstile } from "./turnstile.ts";

/** One direction of the tunnel, as the loops drive it. */
export interface Pump {
  /** When to be noticed although nothing came, in ms; Infinity for never. */
  readonly deadline: number;
  /** Whether the batch just taken is to be finished before anybody takes another. */
  readonly alone: boolean;
  /** Learns what the poller reported, in its {@linkcode Ready} bits. */
  notice(ready: number, now: number): void;
  /** Takes a batch of what was noticed. @returns false where nothing is left. */
  take(): boolean;
  /** Works on the batch: touches nothing that is shared, but to read it. */
  work(): void;
  /** Sends the batch where it is to go. */
  finish(): void;
}

/** What a loop needs besides its pumps. */
export interface LoopOptions {
  readonly poller: Poller;
  /** The workers' clock, ms. */
  readonly now: () => number;
  /** A shared cell: not 0 when the loop is to end. */
  readonly stop: Int32Array;
}

/** Batches of fewer rows are done before another thread could wake up. */
export const PARALLEL_ROWS = 8;

/** Runs pumps over one poll set until the stop cell is set. */
export function runPumps(pumps: readonly Pump[], options: LoopOptions): void {
  const { poller, now, stop } = options;
  while (Atomics.load(stop, 0) === 0) {
    const ready = poller.wait(timeout(pumps, now));
    const time = now();
    for (let i = 0; i < pumps.length; i++) {
      const pump = pumps[i];
      pump.notice(ready, time);
      while (pump.take()) {
        pump.work();
        pump.finish();
      }
    }
  }
}

/**
 * Runs one of several equal pumps, each in a thread of its own over the same
 * poll set, until the stop cell is set. Whoever has the input waits for all;
 * what was taken is finished, in order, before a thread ends.
 */
export function runInTurns(
  pump: Pump,
  turnstile: Turnstile,
  options: LoopOptions,
): void {
  const { poller, now, stop } = options;
  const pumps = [pump];
  let inside = true;
  turnstile.enter();
  try {
    while (Atomics.load(stop, 0) === 0) {
      const ready = poller.wait(timeout(pumps, now));
      pump.notice(ready, now());
      // What else was ready is for whoever comes in next, and reported again.
      while (inside && pump.take()) {
        const ticket = turnstile.draw();
        inside = pump.alone;
        if (!inside) turnstile.leave();
        pump.work();
        turnstile.await(ticket);
        pump.finish();
        turnstile.pass(ticket);
      }
      if (!inside) turnstile.enter();
      inside = true;
    }
  } finally {
    // Where a device fails, the others must not wait for this thread.
    if (inside) turnstile.leave();
  }
}

/** How long to wait, in ms; -1 without end. */
function timeout(pumps: readonly Pump[], now: () => number): number {
  let deadline = Infinity;
  for (let i = 0; i < pumps.length; i++) {
    deadline = Math.min(deadline, pumps[i].deadline);
  }
  return deadline === Infinity ? -1 : Math.max(0, Math.ceil(deadline - now()));
}
