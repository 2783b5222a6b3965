/**
 * The tables that the control thread and both workers share: their buffers (to
 * be posted to a worker) and the objects over them (each thread makes its own).
 */
import { sharedBuffer } from "../core/columns/columns.ts";
import { Counters } from "../core/columns/counters.ts";
import { Ring } from "../core/columns/ring.ts";
import { NatTable, type NatTableOptions } from "../core/flow/nat.ts";
import {
  RedirectTable,
  type RedirectTableOptions,
} from "../core/flow/redirect_table.ts";
import {
  AllowedIps,
  type AllowedIpsOptions,
} from "../core/wireguard/allowed_ips.ts";
import { PeerTable } from "../core/wireguard/peer_table.ts";
import { SessionTable } from "../core/wireguard/session_table.ts";

/** How large the tables are. Memory is taken when a row is first used. */
export interface SharedSizes {
  /** Peers at once. */
  readonly peers: number;
  /** Sessions at once, a power of two; four a peer are enough. */
  readonly sessions: number;
  readonly allowedIps: AllowedIpsOptions;
  /** Absent where nothing is translated. */
  readonly nat: NatTableOptions | undefined;
  /** Left out where no TCP goes to a relay. */
  readonly redirects?: RedirectTableOptions;
  /** Bytes of each ring, a power of two. */
  readonly ringBytes: number;
}

/**
 * The threads that count and send messages; an index into per-thread tables.
 * Several workers of one pump write by turns and count as one.
 */
export const Thread = {
  Control: 0,
  OpenPump: 1,
  SealPump: 2,
  /** The TCP relay, where there is one. */
  Relay: 3,
} as const;

/** One of the values of {@linkcode Thread}. */
export type Thread = typeof Thread[keyof typeof Thread];

const THREADS = 4;

/** The buffers; survives structured cloning. */
export interface SharedState {
  readonly sizes: SharedSizes;
  readonly peers: SharedArrayBuffer;
  readonly sessions: SharedArrayBuffer;
  readonly allowedIps: SharedArrayBuffer;
  readonly nat: SharedArrayBuffer | undefined;
  readonly redirects: SharedArrayBuffer | undefined;
  /** From the open pump to the relay. */
  readonly relayRing: SharedArrayBuffer | undefined;
  /** One a thread. */
  readonly counters: readonly SharedArrayBuffer[];
  /** One a thread: to the control thread; its own is to the open pump. */
  readonly rings: readonly SharedArrayBuffer[];
  /** Cells: stop, bell, next tick. */
  readonly signals: SharedArrayBuffer;
}

/** The tables of one thread over the shared buffers. */
export interface SharedTables {
  readonly peers: PeerTable;
  readonly sessions: SessionTable;
  readonly allowedIps: AllowedIps;
  readonly nat: NatTable | undefined;
  readonly redirects: RedirectTable | undefined;
  /** From the open pump to the relay: messages of {@linkcode RelayMessage}. */
  readonly relayRing: Ring | undefined;
  readonly counters: readonly Counters[];
  readonly rings: readonly Ring[];
  /** A cell that is not 0 when workers are to end. */
  readonly stop: Int32Array;
  /** A cell that grows when a worker has written to its ring. */
  readonly bell: Int32Array;
  /** A cell of the open pump: when its engine's next tick is due, ms. */
  readonly nextTick: Float64Array;
}

/** Makes the buffers, all zeros. */
export function createSharedState(sizes: SharedSizes): SharedState {
  const perThread = (byteLength: number) =>
    Array.from({ length: THREADS }, () => sharedBuffer(byteLength));
  return {
    sizes,
    peers: sharedBuffer(PeerTable.byteLength(sizes.peers)),
    sessions: sharedBuffer(SessionTable.byteLength(sizes.sessions)),
    allowedIps: sharedBuffer(AllowedIps.byteLength(sizes.allowedIps)),
    nat: sizes.nat && sharedBuffer(NatTable.byteLength(sizes.nat)),
    redirects: sizes.redirects &&
      sharedBuffer(RedirectTable.byteLength(sizes.redirects)),
    relayRing: sizes.redirects &&
      sharedBuffer(Ring.byteLength(sizes.ringBytes)),
    counters: perThread(Counters.byteLength),
    rings: perThread(Ring.byteLength(sizes.ringBytes)),
    signals: sharedBuffer(16),
  };
}

/** Makes one thread's tables. */
export function attachTables(state: SharedState): SharedTables {
  const { sizes } = state;
  return {
    peers: new PeerTable(state.peers, sizes.peers),
    sessions: new SessionTable(state.sessions, sizes.sessions),
    allowedIps: new AllowedIps(state.allowedIps, sizes.allowedIps),
    nat: state.nat && sizes.nat && new NatTable(state.nat, sizes.nat),
    redirects: state.redirects && sizes.redirects &&
      new RedirectTable(state.redirects, sizes.redirects),
    relayRing: state.relayRing && new Ring(state.relayRing, sizes.ringBytes),
    counters: state.counters.map((buffer) => new Counters(buffer)),
    rings: state.rings.map((buffer) => new Ring(buffer, sizes.ringBytes)),
    stop: new Int32Array(state.signals, 0, 1),
    bell: new Int32Array(state.signals, 4, 1),
    nextTick: new Float64Array(state.signals, 8, 1),
  };
}
