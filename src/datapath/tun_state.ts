/**
 * What the threads of a TUN stack share: buffers (to be posted to a worker) and
 * the tables over them (each thread makes its own).
 */
import { sharedBuffer } from "../core/columns/columns.ts";
import { Counters } from "../core/columns/counters.ts";
import { Ring } from "../core/columns/ring.ts";
import { VerdictCounters } from "../core/columns/verdict_counters.ts";
import { NatTable, type NatTableOptions } from "../core/flow/nat.ts";
import {
  RedirectTable,
  type RedirectTableOptions,
} from "../core/flow/redirect_table.ts";

/** How large the tables are. Memory is taken when a row is first used. */
export interface TunSizes {
  readonly nat: NatTableOptions;
  readonly redirects: RedirectTableOptions;
  /** Bytes of the ring to the relay worker, a power of two. */
  readonly relayRingBytes: number;
  /** Bytes of the ring by which dropped packets are shown, a power of two. */
  readonly traceRingBytes: number;
}

/** The buffers; survives structured cloning. */
export interface TunState {
  readonly sizes: TunSizes;
  readonly nat: SharedArrayBuffer;
  readonly redirects: SharedArrayBuffer;
  readonly relayRing: SharedArrayBuffer;
  readonly traceRing: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly verdicts: SharedArrayBuffer;
  /** A cell: not 0 when workers are to end. */
  readonly stop: SharedArrayBuffer;
}

/** The tables of one thread over the shared buffers. */
export interface TunTables {
  /** Written by the stack worker. */
  readonly nat: NatTable;
  readonly redirects: RedirectTable;
  /** From the stack worker to the relay worker. */
  readonly relayRing: Ring;
  /** From the stack worker to the control thread. */
  readonly traceRing: Ring;
  readonly counters: Counters;
  readonly verdicts: VerdictCounters;
  readonly stop: Int32Array;
}

/** Makes the buffers, all zeros. */
export function createTunState(sizes: TunSizes): TunState {
  return {
    sizes,
    nat: sharedBuffer(NatTable.byteLength(sizes.nat)),
    redirects: sharedBuffer(RedirectTable.byteLength(sizes.redirects)),
    relayRing: sharedBuffer(Ring.byteLength(sizes.relayRingBytes)),
    traceRing: sharedBuffer(Ring.byteLength(sizes.traceRingBytes)),
    counters: sharedBuffer(Counters.byteLength),
    verdicts: sharedBuffer(VerdictCounters.byteLength),
    stop: sharedBuffer(4),
  };
}

/** Makes one thread's tables. */
export function attachTunTables(state: TunState): TunTables {
  const { sizes } = state;
  return {
    nat: new NatTable(state.nat, sizes.nat),
    redirects: new RedirectTable(state.redirects, sizes.redirects),
    relayRing: new Ring(state.relayRing, sizes.relayRingBytes),
    traceRing: new Ring(state.traceRing, sizes.traceRingBytes),
    counters: new Counters(state.counters),
    verdicts: new VerdictCounters(state.verdicts),
    stop: new Int32Array(state.stop),
  };
}
