/**
 * The clock that all threads share: time since the system started, which keeps
 * counting while the machine sleeps and which nobody can set.
 */
import type { Kernelbase } from "../../../../ffi/windows/kernelbase.ts";

/** Units of the precise time: 100 ns. */
const UNITS_PER_MS = 10_000;
const TWO_32 = 0x1_0000_0000;

/**
 * Makes the clock of the calling thread.
 * @returns a function that gives milliseconds, with fractions; it allocates
 * nothing, and values of different threads compare.
 */
export function openClock(kernelbase: Kernelbase): () => number {
  const words = new Uint32Array(2);
  const bytes = new Uint8Array(words.buffer);
  const query = kernelbase.call.QueryInterruptTimePrecise;
  return () => {
    query(bytes);
    return (words[0] + words[1] * TWO_32) / UNITS_PER_MS;
  };
}
