/** Measures whether a function allocates, for code that must not. */
import assert from "node:assert/strict";

const ROUNDS = 50_000;

/**
 * Fails where `round`, run many times, leaves more on the heap than the noise
 * of the measurement: even one object of 16 bytes a round would be 800 KB.
 */
export function assertNoAllocation(round: (i: number) => void): void {
  for (let i = 0; i < ROUNDS; i++) round(i);
  let least = Infinity;
  for (let attempt = 0; attempt < 5; attempt++) {
    const before = Deno.memoryUsage().heapUsed;
    for (let i = 0; i < ROUNDS; i++) round(i);
    const grown = Deno.memoryUsage().heapUsed - before;
    // A collection in between can only hide growth where there was some.
    if (grown >= 0) least = Math.min(least, grown);
  }
  assert.ok(least < ROUNDS * 4, `${least} bytes in ${ROUNDS} rounds`);
}
