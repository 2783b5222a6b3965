/**
 * Way and generation of a flow in one word, so that both change at once and
 * whoever decides about a flow can name the one that it means.
 *
 *     | generation, 28 bits | way + 1, 3 bits: 0 is a free row |
 */

/** Which way a flow goes. */
export const Way = {
  /** Nobody has decided: its packets are held. */
  Waiting: 0,
  Drop: 1,
  /** By the host's own interface. */
  Direct: 2,
  /** By a proxy: TCP and UDP are ended by the relay. */
  Proxy: 3,
  /** By a tunnel that carries packets. */
  Packet: 4,
} as const;

/** One of the values of {@linkcode Way}. */
export type Way = typeof Way[keyof typeof Way];

/** In the place of a way: the row is free. */
export const FREE = -1;

const WAY_BITS = 3;
const WAY_MASK = 7;
/** Generations run from 1 to this. */
export const LAST_FLOW_GENERATION = 2 ** 28 - 1;

/** A word of a generation and a way, or {@linkcode FREE}. */
export function flowWord(generation: number, way: number): number {
  return (generation << WAY_BITS) | (way + 1);
}

/** The {@linkcode Way} in a word; {@linkcode FREE} of a free row. */
export function wayIn(word: number): number {
  return (word & WAY_MASK) - 1;
}

/** The generation in a word. */
export function flowGenerationIn(word: number): number {
  return word >>> WAY_BITS;
}
