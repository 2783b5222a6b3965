/** How much heap a packet costs, measured over many. */
import { getHeapStatistics } from "node:v8";

const ROUNDS = 31;
const PACKETS_PER_ROUND = 20_000;
/** Rounds until the code is optimized, on a machine that is busy with other tests too. */
const WARM_UP_ROUNDS = 12;
/** Packets of one pass. */
export const BATCH = 16;

/**
 * Bytes of heap per packet: the median over rounds, so that a collection in one
 * round (less than nothing) and a compilation in another do not count.
 */
export function bytesPerPacket(pass: () => void): number {
  for (let n = 0; n < PACKETS_PER_ROUND * WARM_UP_ROUNDS; n += BATCH) pass();
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = getHeapStatistics().used_heap_size;
    for (let n = 0; n < PACKETS_PER_ROUND; n += BATCH) pass();
    rounds.push(
      (getHeapStatistics().used_heap_size - before) / PACKETS_PER_ROUND,
    );
  }
  return rounds.toSorted((a, b) => a - b)[ROUNDS >> 1];
}
