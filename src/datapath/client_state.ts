/**
 * What the threads of a split tunnel share: buffers (to be posted to a worker)
 * and the tables over them (each thread makes its own).
 *
 * Packet tunnels come and go while workers run, and a worker that blocks takes
 * no posted buffers: there are slots for them from the beginning. A slot is given
 * to another tunnel only when the worker has said that it let go of it.
 */
import { sharedBuffer } from "../core/columns/columns.ts";
import { Counters } from "../core/columns/counters.ts";
import { Ring } from "../core/columns/ring.ts";
import { VerdictCounters } from "../core/columns/verdict_counters.ts";
import { FlowTable, type FlowTableOptions } from "../core/flow/flow_table.ts";
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

/** How large the tables of one packet tunnel are. */
export interface TunnelSizes {
  readonly peers: number;
  /** A power of two. */
  readonly sessions: number;
  readonly allowedIps: AllowedIpsOptions;
  readonly ringBytes: number;
}

/** How large the tables are. Memory is taken when a row is first used. */
export interface ClientSizes {
  readonly flows: FlowTableOptions;
  readonly nat: NatTableOptions;
  readonly redirects: RedirectTableOptions;
  /** Bytes of each ring, a power of two. */
  readonly ringBytes: number;
  /** Slots for packet tunnels. */
  readonly slots: number;
  readonly tunnel: TunnelSizes;
}

/** The buffers of a slot for a packet tunnel. */
export interface TunnelBuffers {
  readonly peers: SharedArrayBuffer;
  readonly sessions: SharedArrayBuffer;
  readonly allowedIps: SharedArrayBuffer;
  readonly ring: SharedArrayBuffer;
  /** A cell that grows when the worker has written to the ring. */
  readonly bell: SharedArrayBuffer;
}

/** The tables of one packet tunnel. */
export interface TunnelTables {
  readonly peers: PeerTable;
  readonly sessions: SessionTable;
  readonly allowedIps: AllowedIps;
  /** From the worker to the control thread. */
  readonly ring: Ring;
  readonly bell: Int32Array;
}

/** The buffers; survives structured cloning. */
export interface ClientState {
  readonly sizes: ClientSizes;
  readonly flows: SharedArrayBuffer;
  readonly nat: SharedArrayBuffer;
  readonly redirects: SharedArrayBuffer;
  readonly relayRing: SharedArrayBuffer;
  readonly relayCommands: SharedArrayBuffer;
  readonly commands: SharedArrayBuffer;
  readonly news: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly verdicts: SharedArrayBuffer;
  /** Cells: stop, bell. */
  readonly signals: SharedArrayBuffer;
  readonly tunnels: readonly TunnelBuffers[];
}

/** The tables of one thread over the shared buffers. */
export interface ClientTables {
  /** Written by the stack worker, as the next two. */
  readonly flows: FlowTable;
  readonly nat: NatTable;
  readonly redirects: RedirectTable;
  /** From the stack worker to the relay worker. */
  readonly relayRing: Ring;
  /** From the control thread to the relay worker. */
  readonly relayCommands: Ring;
  /** From the control thread to the stack worker. */
  readonly commands: Ring;
  /** From the stack worker to the control thread. */
  readonly news: Ring;
  readonly counters: Counters;
  readonly verdicts: VerdictCounters;
  readonly stop: Int32Array;
  /** A cell that grows when there are news. */
  readonly bell: Int32Array;
}

/** Makes the buffers, all zeros. */
export function createClientState(sizes: ClientSizes): ClientState {
  const ring = () => sharedBuffer(Ring.byteLength(sizes.ringBytes));
  const { tunnel } = sizes;
  return {
    sizes,
    flows: sharedBuffer(FlowTable.byteLength(sizes.flows)),
    nat: sharedBuffer(NatTable.byteLength(sizes.nat)),
    redirects: sharedBuffer(RedirectTable.byteLength(sizes.redirects)),
    relayRing: ring(),
    relayCommands: ring(),
    commands: ring(),
    news: ring(),
    counters: sharedBuffer(Counters.byteLength),
    verdicts: sharedBuffer(VerdictCounters.byteLength),
    signals: sharedBuffer(8),
    tunnels: Array.from({ length: sizes.slots }, () => ({
      peers: sharedBuffer(PeerTable.byteLength(tunnel.peers)),
      sessions: sharedBuffer(SessionTable.byteLength(tunnel.sessions)),
      allowedIps: sharedBuffer(AllowedIps.byteLength(tunnel.allowedIps)),
      ring: sharedBuffer(Ring.byteLength(tunnel.ringBytes)),
      bell: sharedBuffer(4),
    })),
  };
}

/** Makes one thread's tables. */
export function attachClientTables(state: ClientState): ClientTables {
  const { sizes } = state;
  const ring = (buffer: SharedArrayBuffer) => new Ring(buffer, sizes.ringBytes);
  return {
    flows: new FlowTable(state.flows, sizes.flows),
    nat: new NatTable(state.nat, sizes.nat),
    redirects: new RedirectTable(state.redirects, sizes.redirects),
    relayRing: ring(state.relayRing),
    relayCommands: ring(state.relayCommands),
    commands: ring(state.commands),
    news: ring(state.news),
    counters: new Counters(state.counters),
    verdicts: new VerdictCounters(state.verdicts),
    stop: new Int32Array(state.signals, 0, 1),
    bell: new Int32Array(state.signals, 4, 1),
  };
}

/** Makes one thread's tables of a slot. */
export function attachTunnelTables(
  state: ClientState,
  slot: number,
): TunnelTables {
  const { tunnel } = state.sizes;
  const buffers = state.tunnels[slot];
  return {
    peers: new PeerTable(buffers.peers, tunnel.peers),
    sessions: new SessionTable(buffers.sessions, tunnel.sessions),
    allowedIps: new AllowedIps(buffers.allowedIps, tunnel.allowedIps),
    ring: new Ring(buffers.ring, tunnel.ringBytes),
    bell: new Int32Array(buffers.bell),
  };
}

/** Makes a slot as new; nobody uses it. */
export function clearTunnel(state: ClientState, slot: number): void {
  const { peers, sessions, allowedIps, ring } = state.tunnels[slot];
  for (const buffer of [peers, sessions, allowedIps, ring]) {
    new Uint8Array(buffer).fill(0);
  }
}
