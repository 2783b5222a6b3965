/**
 * What the engine is told about the TCP relay: plain data, so that it can be
 * posted to a worker. How many connections there may be in all is the redirect
 * table's capacity.
 */
import type { RelayEnds } from "../flow/redirect.ts";

export type { RelayEnd, RelayEnds } from "../flow/redirect.ts";

/** Where the relay listens, and what connections through it may cost. */
export interface TcpRelayConfig extends RelayEnds {
  /** Idle time of an established connection, in ms; at least 7,440,000 by RFC 5382 REQ-5. */
  readonly establishedTimeoutMs: number;
  /** Idle time of one that opens or closes, in ms; at least 240,000 by RFC 5382 REQ-5. */
  readonly transitoryTimeoutMs: number;
  /** Connections that one peer may have at once. */
  readonly maxConnectionsPerPeer: number;
  /** How many of them may wait for their destination to answer. */
  readonly maxDialingPerPeer: number;
}

/** Times and limits that hold where the configuration says nothing. */
export const TCP_RELAY_DEFAULTS = {
  establishedTimeoutMs: 7_440_000,
  transitoryTimeoutMs: 240_000,
  maxConnectionsPerPeer: 4096,
  maxDialingPerPeer: 256,
} as const satisfies Partial<TcpRelayConfig>;
