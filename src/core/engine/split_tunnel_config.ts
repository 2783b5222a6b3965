/** What a split tunnel is told: plain data, so that it can be posted to a worker. */
import type { GatewayConfig } from "./gateway_config.ts";

/** Policies, limits and times. */
export interface SplitTunnelConfig {
  /**
   * Limits and timers of the direct way, and the relay. Its addresses are those
   * that ICMP errors come from; its subnets are the interface's, whose
   * broadcasts go nowhere.
   */
  readonly gateway: GatewayConfig;
  /**
   * What becomes of direct flows. `translated`: a TUN interface took them, so
   * sockets of our own carry them. `passed`: they were captured on their way,
   * and go on as they are.
   */
  readonly direct: "translated" | "passed";
  /** TCP ports of this host that others may call at, where direct flows are passed. */
  readonly answeredPorts: readonly number[];
  /** Whether a program hears at once that its flow is dropped, or runs into its own time limits. */
  readonly dropped: "refuse" | "silent";
  /** What programs send in pieces is put together first, or goes nowhere. */
  readonly fragments: "reassemble" | "drop";
  /** How long a flow waits for its verdict, in ms. */
  readonly heldMs: number;
  /** Flows that may wait at once. */
  readonly maxWaiting: number;
  /** Idle time of a query to a resolver, in ms. */
  readonly dnsTimeoutMs: number;
  /** Idle time of a dropped flow: then its rules are asked again; in ms. */
  readonly droppedTimeoutMs: number;
  /** Packets that may wait: short ones, long ones, of one flow. */
  readonly held: {
    readonly short: number;
    readonly long: number;
    readonly perFlow: number;
  };
}

/** What holds where nothing else is wished. */
export const SPLIT_TUNNEL_DEFAULTS = {
  direct: "translated",
  answeredPorts: [],
  dropped: "refuse",
  fragments: "reassemble",
  heldMs: 5000,
  maxWaiting: 4096,
  dnsTimeoutMs: 15_000,
  droppedTimeoutMs: 30_000,
  held: { short: 4096, long: 32, perFlow: 16 },
} as const satisfies Partial<SplitTunnelConfig>;
