/**
 * State and generation of a redirect row in one word, so that both change at
 * once and whoever acts on a row can name the generation that it means.
 *
 *     | generation, 28 bits | state, 3 bits |
 */

/** The life of a row. */
export const RedirectState = {
  Free: 0,
  /** The relay has been asked to connect; the kernel knows of nothing. */
  Dialing: 1,
  /** Packets pass between the client and the kernel. */
  Open: 2,
  /** The relay could not connect, and has told the client. */
  Refused: 3,
  /** Over on both sides; what comes late still passes. */
  Closed: 4,
} as const;

/** One of the values of {@linkcode RedirectState}. */
export type RedirectState = typeof RedirectState[keyof typeof RedirectState];

const STATE_BITS = 3;
const STATE_MASK = 7;
/** Generations run from 1 to this. */
export const LAST_GENERATION = 2 ** 28 - 1;

/** A word of a generation and a state. */
export function redirectWord(generation: number, state: RedirectState): number {
  return (generation << STATE_BITS) | state;
}

/** The state in a word of {@linkcode RedirectTable.wordOf}. */
export function stateIn(word: number): RedirectState {
  return (word & STATE_MASK) as RedirectState;
}

/** Whether packets pass in a state. */
export function isPassing(state: RedirectState): boolean {
  return state === RedirectState.Open || state === RedirectState.Closed;
}

/** The generation in a word of {@linkcode RedirectTable.wordOf}. */
export function generationIn(word: number): number {
  return word >>> STATE_BITS;
}
