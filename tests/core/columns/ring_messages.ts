/** What the ring test and its worker agree on. */
import { SeededRandom } from "./seeded_random.ts";

/** Sent to the producer to start it. */
export interface ProducerOrder {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  /** Two counts that are waited on: {@linkcode READ} and {@linkcode WRITTEN}. */
  readonly bells: SharedArrayBuffer;
  /** Messages to write. */
  readonly count: number;
}

/** Rung by the consumer after each read. */
export const READ = 0;
/** Rung by the producer after each message. */
export const WRITTEN = 1;

/** The length of message `n`: all lengths to the greatest, empty ones too. */
export function messageLength(n: number, greatest: number): number {
  return n % 97 === 0 ? greatest : new SeededRandom(n).below(greatest + 1);
}
