/**
 * When a device is under load (WireGuard paper, section 5.3): handshakes come
 * faster than it wants to answer them. Then it asks for cookies.
 */

/** What a device can stand. */
export interface LoadLimits {
  /** Handshake messages a second that may go on for ever. */
  readonly perSecond: number;
  /** Messages above that rate that a burst may have. */
  readonly burst: number;
}

/**
 * About a sixth of what one slow core can answer with X25519 by node:crypto
 * (`tests/bench/handshakes.ts`); 24,000 peers that renew every two minutes.
 */
export const LOAD_LIMITS: LoadLimits = { perSecond: 200, burst: 200 };

/** How the under-load state is decided. */
export type LoadMode = "measured" | "always" | "never";

/** The state holds on for this long, so that it does not flicker. */
const HOLD_MS = 1000;

/** A leaky bucket over handshake messages. */
export class LoadMeter {
  mode: LoadMode = "measured";
  readonly #limits: LoadLimits;
  #level = 0;
  #at = 0;
  #until = -Infinity;

  constructor(limits: LoadLimits) {
    this.#limits = limits;
  }

  /** Counts a message. @returns true where the device is under load. */
  note(now: number): boolean {
    if (this.mode !== "measured") return this.mode === "always";
    const drained = Math.max(0, now - this.#at) * this.#limits.perSecond / 1000;
    this.#level = Math.max(0, this.#level - drained) + 1;
    this.#at = now;
    if (this.#level > this.#limits.burst) {
      this.#level = this.#limits.burst;
      this.#until = now + HOLD_MS;
    }
    return now < this.#until;
  }
}
