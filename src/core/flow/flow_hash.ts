/** The hash that flows are found by. */
import { mixWords } from "./chained_index.ts";

/**
 * Of a kind, two ports and the addresses of both ends: words from index `i` of
 * one, from index `j` of the other.
 */
export function flowHash(
  seed: number,
  kind: number,
  ports: number,
  one: Int32Array,
  i: number,
  other: Int32Array,
  j: number,
): number {
  const start = Math.imul(ports ^ seed, 0x9e3779b1) ^ kind;
  const hash = mixWords(mixWords(start, other, j), one, i);
  return hash ^ (hash >>> 16);
}
