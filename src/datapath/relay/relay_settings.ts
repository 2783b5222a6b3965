/** What a relay is told: limits, times, addresses. Plain data. */

/** How much a relay takes on, and for how long. */
export interface RelayLimits {
  /** Connections at once, those being made included; each takes two descriptors. */
  readonly connections: number;
  /** Connections being made at once. */
  readonly dialing: number;
  /** How long an outside connection may take to stand, in ms. */
  readonly connectTimeoutMs: number;
  /** How long a client that was let in may take to come, in ms. */
  readonly acceptTimeoutMs: number;
  /** How long nothing may move on an open connection, in ms. */
  readonly idleTimeoutMs: number;
}

/**
 * The limits where nothing else is wished. RFC 5382 REQ-5 wants 2 hours and 4
 * minutes at least for idle connections; systems try a SYN for about 2 minutes,
 * people don't.
 */
export const DEFAULT_RELAY_LIMITS: RelayLimits = {
  connections: 16_384,
  dialing: 4096,
  connectTimeoutMs: 30_000,
  acceptTimeoutMs: 30_000,
  idleTimeoutMs: (2 * 60 + 4) * 60_000,
};

/** What may lie unsent in a socket, in bytes: more would only wait there. */
export const UNSENT_LIMIT = 512 << 10;

/** Where a relay of one family listens. */
export interface RelayAddress {
  /** The relay's own address A: four address words, v4-mapped for IPv4. */
  readonly words: Int32Array;
  /** 0 lets the system choose. */
  readonly port: number;
}
