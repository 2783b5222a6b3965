/** What a flow is to those who have no table of them. */
import type { Way } from "./flow_state.ts";

/** The size of a flow table; the same in every thread. */
export interface FlowTableOptions {
  /** Flows at once. */
  readonly capacity: number;
  /** Random, so that nobody can choose flows that fall together; 32 bits. */
  readonly seed?: number;
}

/** An end of a flow. */
export interface FlowEnd {
  /** Address words. */
  readonly words: Int32Array;
  /** Port, or an echo's identifier. */
  readonly port: number;
}

/** What is decided about a flow. */
export interface FlowVerdict {
  readonly way: Exclude<Way, typeof Way.Waiting>;
  /** Number of the outbound; 0 of Direct and Drop. */
  readonly outbound: number;
  /** Which rule said so: a number for show. */
  readonly rule: number;
  /** Where it is really sent; absent where that is its remote. */
  readonly to?: FlowEnd;
}

/** A flow as it is at a moment. */
export interface FlowSnapshot {
  readonly row: number;
  readonly generation: number;
  /** IP protocol: 6, 17, 1 or 58. */
  readonly protocol: number;
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  readonly way: Way;
  readonly outbound: number;
  readonly rule: number;
  /** Where it is really sent. */
  readonly to: FlowEnd;
  /** Times in ms, of the workers' clock. */
  readonly createdAt: number;
  readonly lastAt: number;
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly receivedPackets: number;
  readonly receivedBytes: number;
}
