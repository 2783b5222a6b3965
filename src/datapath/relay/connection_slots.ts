/**
 * What a relay's connections hold, by slot: their row of the redirect table, a
 * dial, the client's SYN, sockets, a deadline, a descriptor for a client that is
 * to come. All of it is given back at one place.
 */
import { DeadlineQueue } from "../../core/columns/deadline_queue.ts";
import type { SocketEvents } from "../../io/ports/socket_events.ts";
import type { StreamSockets } from "../../io/ports/stream_sockets.ts";
import { ConnectionState, ConnectionTable } from "./connection_table.ts";
import { DescriptorReserve } from "./descriptor_reserve.ts";
import { PendingDials } from "./pending_dials.ts";
import { RelayCount, type RelayCounters } from "./relay_counters.ts";
import type { RelayRows } from "./relay_rows.ts";
import type { RelayLimits } from "./relay_settings.ts";

/** What slots are made with. */
export interface ConnectionSlotsOptions {
  readonly sockets: StreamSockets;
  readonly events: SocketEvents;
  readonly rows: RelayRows;
  readonly counters: RelayCounters;
  readonly limits: RelayLimits;
}

/** See the module header. */
export class ConnectionSlots implements Disposable {
  readonly table: ConnectionTable;
  readonly dials: PendingDials;
  /** Of each slot one: for the dial, for the client to come, for something to move. */
  readonly deadlines: DeadlineQueue;
  /** Per slot: the client's SYN, until it has come in. */
  readonly syns: (Uint8Array | undefined)[];
  readonly reserve: DescriptorReserve;
  readonly #options: ConnectionSlotsOptions;
  /** Per row: its slot, or -1. */
  readonly #slotOfRow: Int32Array;
  /** Clients that were let in and have not yet come. */
  #entering = 0;

  constructor(options: ConnectionSlotsOptions) {
    const { sockets, events, rows, limits } = options;
    const capacity = limits.connections;
    this.#options = options;
    this.table = new ConnectionTable(capacity);
    this.dials = new PendingDials(events, capacity);
    this.deadlines = new DeadlineQueue(capacity);
    this.syns = new Array(capacity).fill(undefined);
    this.reserve = new DescriptorReserve(sockets);
    this.#slotOfRow = new Int32Array(rows.capacity).fill(-1);
  }

  /** The slot of a row, whichever of the row's connections it has; -1 for none. `row` may be anything. */
  ofRow(row: number): number {
    return row >= 0 && row < this.#slotOfRow.length ? this.#slotOfRow[row] : -1;
  }

  /** The slot of one of a row's connections; -1 for none. `row` may be anything. */
  of(row: number, generation: number): number {
    const slot = this.ofRow(row);
    return slot >= 0 && this.table.generation[slot] === generation ? slot : -1;
  }

  /** Takes a slot for a row's connection. @returns -1 where none is left, or there is no such row. */
  take(row: number, generation: number): number {
    if (row < 0 || row >= this.#slotOfRow.length) return -1;
    const slot = this.table.take(row, generation);
    if (slot >= 0) this.#slotOfRow[row] = slot;
    return slot;
  }

  /** Lets a slot's row have another connection; its own goes on without a row. */
  loseRow(slot: number): void {
    const row = this.table.row[slot];
    if (this.#slotOfRow[row] === slot) this.#slotOfRow[row] = -1;
  }

  /** The outside of a slot stands, its client is to come. */
  enter(slot: number): void {
    this.table.state[slot] = ConnectionState.Entering;
    this.#entering++;
    this.#options.counters.add(RelayCount.Entering);
  }

  /** The client of a slot has come. */
  open(slot: number): void {
    this.table.state[slot] = ConnectionState.Open;
    this.syns[slot] = undefined;
    this.#leaveEntering();
    this.keepReserve();
    this.#options.counters.add(RelayCount.Open);
  }

  /** Holds one descriptor for each client that is to come. */
  keepReserve(): void {
    this.reserve.keep(this.dials.count + this.#entering);
  }

  /** Ends a connection and counts why: with a RST both ways, unless both have finished. */
  end(slot: number, why: RelayCount): void {
    const { sockets, counters } = this.#options;
    const { descriptor } = this.table;
    counters.add(why);
    for (let side = slot * 2; side < slot * 2 + 2; side++) {
      const socket = descriptor[side];
      if (socket < 0) continue;
      if (why === RelayCount.Finished) sockets.close(socket);
      else sockets.reset(socket);
    }
    this.release(slot);
  }

  /** Gives a slot back with all it holds but its sockets. */
  release(slot: number): void {
    const { counters } = this.#options;
    const { table, dials } = this;
    if (dials.has(slot)) {
      dials.forget(slot);
      counters.add(RelayCount.Dialing, -1);
    }
    if (table.state[slot] === ConnectionState.Entering) {
      this.#leaveEntering();
    } else if (table.state[slot] === ConnectionState.Open) {
      counters.add(RelayCount.Open, -1);
    }
    this.syns[slot] = undefined;
    this.deadlines.clear(slot);
    this.loseRow(slot);
    table.release(slot);
    this.keepReserve();
  }

  /** Ends all of them. */
  [Symbol.dispose](): void {
    for (let slot = 0; slot < this.table.capacity; slot++) {
      if (this.table.state[slot] !== ConnectionState.Free) {
        this.end(slot, RelayCount.Abandoned);
      }
    }
    this.reserve[Symbol.dispose]();
  }

  #leaveEntering(): void {
    this.#entering--;
    this.#options.counters.add(RelayCount.Entering, -1);
  }
}
