/**
 * The clock that all threads share: time since the system started, which keeps
 * counting while the machine sleeps and which nobody can set.
 */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";

const TWO_32 = 0x1_0000_0000;

/**
 * Makes the clock of the calling thread.
 * @returns a function that gives milliseconds, with fractions; it allocates
 * nothing, and values of different threads compare.
 */
export function openClock({ call }: Kernel32): () => number {
  const words = new Uint32Array(2);
  const bytes = new Uint8Array(words.buffer);
  call.QueryPerformanceFrequency(bytes);
  const ticksPerMs = (words[0] + words[1] * TWO_32) / 1000;
  return () => {
    call.QueryPerformanceCounter(bytes);
    return (words[0] + words[1] * TWO_32) / ticksPerMs;
  };
}
