/**
 * The clock that all threads share: CLOCK_BOOTTIME, which keeps counting while
 * the machine sleeps (WireGuard's time limits are about wall time, not about
 * time awake) and which nobody can set.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { timespec } from "../../../../ffi/linux_layouts.ts";

const CLOCK_BOOTTIME = 7;
const SECONDS_AT = timespec.at.tv_sec >> 2;
const NANOSECONDS_AT = timespec.at.tv_nsec >> 2;

/**
 * Makes the clock of the calling thread.
 * @returns a function that gives milliseconds since boot, with fractions; it
 * allocates nothing, and values of different threads compare.
 */
export function openClock(libc: Libc): () => number {
  const bytes = new Uint8Array(timespec.size);
  const words = new Uint32Array(bytes.buffer);
  if (libc.call.clock_gettime(CLOCK_BOOTTIME, bytes) !== 0) {
    throw libc.error("clock_gettime(CLOCK_BOOTTIME)");
  }
  return () => {
    libc.call.clock_gettime(CLOCK_BOOTTIME, bytes);
    const seconds = words[SECONDS_AT] + words[SECONDS_AT + 1] * 0x1_0000_0000;
    return seconds * 1000 + words[NANOSECONDS_AT] / 1e6;
  };
}
