/**
 * The connections of a relay, from the client's held SYN to the last byte.
 *
 *     dial ──▶ Dialing ──stands──▶ Entering ──accepted──▶ Open ──▶ ended
 *                 │                   │
 *                 └ failed: answer    └ never accepted: reset outside
 *
 * A client is let in only once the outside stands, so that it never sees an
 * accepted connection to a closed port. Each slot has one deadline: for the
 * dial, for the client to come, for something to move.
 */
import { DeadlineQueue } from "../../core/columns/deadline_queue.ts";
import { PacketView, parsePacket } from "../../core/wire/packet.ts";
import { Protocol } from "../../core/wire/protocol.ts";
import type { Dialer, DialFailure } from "../../io/ports/dialer.ts";
import {
  SocketEvent,
  type SocketEvents,
  SocketTrigger,
} from "../../io/ports/socket_events.ts";
import type { StreamSockets } from "../../io/ports/stream_sockets.ts";
import { ByteMover, Moved } from "./byte_mover.ts";
import {
  ConnectionState,
  ConnectionTable,
  SideFlag,
} from "./connection_table.ts";
import { DescriptorReserve } from "./descriptor_reserve.ts";
import { DialRefusals, type DialRefusalsOptions } from "./dial_refusals.ts";
import { eventKey, EventSource } from "./event_key.ts";
import { PendingDials } from "./pending_dials.ts";
import { RelayCount } from "./relay_counters.ts";
import type { RelayLimits } from "./relay_settings.ts";

/** What connections are made with. */
export interface RelayConnectionsOptions extends DialRefusalsOptions {
  readonly sockets: StreamSockets;
  readonly events: SocketEvents;
  readonly dialer: Dialer;
  readonly limits: RelayLimits;
  /** `refuse`: what turns out to lead to this host itself is not let in. */
  readonly ownHost: "allow" | "refuse";
}

/** Bytes that a connection moves before others have their turn. */
const TURN_BYTES = 512 << 10;
/** What may lie unsent in a socket: more would only wait there. */
export const UNSENT_LIMIT = 512 << 10;

const TOO_SLOW: DialFailure = {
  kind: "timed-out",
  text: "the destination did not answer in time",
};
const OWN_HOST: DialFailure = {
  kind: "not-permitted",
  text: "the destination is this host itself",
};
const NO_DESCRIPTOR: DialFailure = {
  kind: "no-descriptor",
  text: "all descriptors that connections may have are taken",
};

const NO_ROOM: DialFailure = {
  kind: "system",
  text: "the system has no room to wait for another socket",
};

const SIDE_EVENTS = SocketEvent.Readable | SocketEvent.Writable |
  SocketEvent.Urgent | SocketEvent.ReadFinished | SocketTrigger.Edge;

/** See the module header. */
export class RelayConnections implements Disposable {
  readonly #options: RelayConnectionsOptions;
  readonly #table: ConnectionTable;
  readonly #mover: ByteMover;
  readonly #deadlines: DeadlineQueue;
  /** Per row: its slot, or -1. */
  readonly #slotOfRow: Int32Array;
  readonly #dials: PendingDials;
  /** Per slot: the client's SYN, until it has come in. */
  readonly #syns: (Uint8Array | undefined)[];
  readonly #refusals: DialRefusals;
  readonly #reserve: DescriptorReserve;
  /** Clients that were let in and have not yet come. */
  #entering = 0;
  readonly #view = new PacketView();

  constructor(options: RelayConnectionsOptions) {
    const { limits, sockets, events, rows } = options;
    const capacity = limits.connections;
    this.#options = options;
    this.#refusals = new DialRefusals(options);
    this.#reserve = new DescriptorReserve(sockets);
    this.#table = new ConnectionTable(capacity);
    this.#mover = new ByteMover(sockets, this.#table, TURN_BYTES);
    this.#deadlines = new DeadlineQueue(capacity);
    this.#slotOfRow = new Int32Array(rows.capacity).fill(-1);
    this.#dials = new PendingDials(events, capacity);
    this.#syns = new Array(capacity).fill(undefined);
  }

  /** Connections in any state. */
  get size(): number {
    return this.#table.size;
  }

  /** Whether a connection waits for its turn. */
  get busy(): boolean {
    return this.#table.queued > 0;
  }

  /** When {@linkcode expire} is due next, ms; Infinity for never. */
  get deadline(): number {
    return this.#deadlines.next();
  }

  /** Starts the outside connection for a client's SYN, a whole IP packet. */
  dial(
    row: number,
    generation: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): void {
    const { dialer, counters, limits, rows } = this.#options;
    if (row < 0 || row >= this.#slotOfRow.length) return;
    this.#abandonSlot(this.#slotOfRow[row]);
    const view = this.#view;
    const valid = parsePacket(bytes, at, length, view) === 0 &&
      view.protocol === Protocol.Tcp;
    const slot = valid && this.#dials.count < limits.dialing
      ? this.#table.take(row, generation)
      : -1;
    if (slot < 0) {
      counters.add(RelayCount.Limited);
      rows.settle(row, generation, "refused");
      return;
    }
    this.#slotOfRow[row] = slot;
    this.#syns[slot] = bytes.slice(at, at + length);
    if (!this.#reserve.take()) return this.#refuse(slot, NO_DESCRIPTOR, now);
    const words = view.destinationWords.slice();
    const dial = dialer.dial({
      words,
      port: view.destinationPort,
      connection: { row, generation },
    });
    this.#dials.start(slot, dial);
    counters.add(RelayCount.Dialing);
    this.#deadlines.set(slot, now + limits.connectTimeoutMs);
    this.#advance(slot, now);
  }

  /** Ends what became of a client's SYN: the client no longer wants it. */
  abandon(row: number, generation: number): void {
    if (row < 0 || row >= this.#slotOfRow.length) return;
    const slot = this.#slotOfRow[row];
    if (slot >= 0 && this.#table.generation[slot] === generation) {
      this.#abandonSlot(slot);
    }
  }

  /**
   * Ends a connection at once, whatever its client has sent before.
   * @param outside whether the other end hears of it by a RST
   */
  end(row: number, generation: number, outside: "reset" | "silent"): void {
    if (row < 0 || row >= this.#slotOfRow.length) return;
    const slot = this.#slotOfRow[row];
    if (slot < 0 || this.#table.generation[slot] !== generation) return;
    const { descriptor } = this.#table;
    const side = slot * 2 + 1;
    if (outside === "silent" && descriptor[side] >= 0) {
      this.#options.sockets.vanish(descriptor[side]);
      descriptor[side] = -1;
    }
    this.#end(slot, RelayCount.Abandoned);
  }

  /**
   * Makes room for a client where the system has no descriptor left.
   * @returns whether there is one now
   */
  exhausted(error: number, now: number): boolean {
    if (this.#reserve.free()) return true;
    const { sockets, counters } = this.#options;
    counters.add(RelayCount.OutOfDescriptors);
    const text = sockets.errorText(error);
    this.#refusals.note({ kind: "system", text }, now);
    return false;
  }

  /** Joins an accepted connection to the one that was made for it. */
  accepted(
    descriptor: number,
    peer: Int32Array,
    port: number,
    now: number,
  ): void {
    const { sockets, events, counters, limits } = this.#options;
    const slot = this.#slotFor(peer, port);
    const client = slot * 2;
    if (
      slot < 0 ||
      events.add(
          descriptor,
          SIDE_EVENTS,
          eventKey(EventSource.Side, client),
        ) !==
        0
    ) {
      sockets.reset(descriptor);
      counters.add(RelayCount.Strays);
      this.#keepReserve();
      return;
    }
    const table = this.#table;
    table.descriptor[client] = descriptor;
    table.state[slot] = ConnectionState.Open;
    this.#syns[slot] = undefined;
    this.#leaveEntering();
    this.#keepReserve();
    counters.add(RelayCount.Open);
    counters.add(RelayCount.Opened);
    // It may be written to at once; its own first event tells the rest.
    table.flags[client] |= SideFlag.Writable;
    table.activeAt[slot] = now;
    this.#deadlines.set(slot, now + limits.idleTimeoutMs);
    this.#turn(client + 1, now);
  }

  /** Goes on with a dial whose descriptor told something. */
  dialReady(slot: number, now: number): void {
    if (this.#dials.has(slot)) this.#advance(slot, now);
  }

  /**
   * Takes in what happened at a side, and moves what can be moved. An event of
   * a connection that is gone may arrive for another one in the same slot: it
   * costs that one a call that finds nothing.
   */
  sideReady(side: number, happened: number, now: number): void {
    const table = this.#table;
    const slot = side >>> 1;
    table.flags[side] |= flagsOf(happened);
    if (table.state[slot] !== ConnectionState.Open) return;
    if (!this.#turn(side, now) || !this.#turn(side ^ 1, now)) return;
    // The bytes before a RST have been passed on as far as they could.
    if (
      (happened & SocketEvent.Error) !== 0 &&
      this.#options.sockets.takeError(table.descriptor[side]) !== 0
    ) this.#end(slot, RelayCount.Reset);
  }

  /** Gives each connection that waits a turn. */
  takeTurns(now: number): void {
    const table = this.#table;
    for (let left = table.queued; left > 0; left--) {
      const side = table.unqueue();
      if (table.state[side >>> 1] === ConnectionState.Open) {
        this.#turn(side, now);
      }
    }
  }

  /** Ends what has waited for too long. */
  expire(now: number): void {
    const table = this.#table;
    const { limits } = this.#options;
    for (;;) {
      const slot = this.#deadlines.popDue(now);
      if (slot < 0) return;
      switch (table.state[slot]) {
        case ConnectionState.Dialing:
          this.#refuse(slot, TOO_SLOW, now);
          break;
        case ConnectionState.Entering:
          this.#end(slot, RelayCount.NotAccepted);
          break;
        case ConnectionState.Open: {
          const due = table.activeAt[slot] + limits.idleTimeoutMs;
          if (due > now) this.#deadlines.set(slot, due);
          else this.#end(slot, RelayCount.Idle);
        }
      }
    }
  }

  /** Resets all that is open and gives all up that is being made. */
  [Symbol.dispose](): void {
    for (let slot = 0; slot < this.#table.capacity; slot++) {
      if (this.#table.state[slot] !== ConnectionState.Free) {
        this.#end(slot, RelayCount.Abandoned);
      }
    }
    this.#reserve[Symbol.dispose]();
  }

  /** The slot that an accepted connection belongs to, or -1. */
  #slotFor(peer: Int32Array, port: number): number {
    const row = this.#options.rows.rowOf(peer, port);
    if (row < 0) return -1;
    const slot = this.#slotOfRow[row];
    return slot >= 0 && this.#table.state[slot] === ConnectionState.Entering
      ? slot
      : -1;
  }

  /** Lets a dial go on. */
  #advance(slot: number, now: number): void {
    const dials = this.#dials;
    const state = dials.step(slot);
    if (state === "connected") this.#letIn(slot, now);
    else if (state === "failed") this.#refuse(slot, dials.failure(slot), now);
  }

  /** The outside stands: the client may come. */
  #letIn(slot: number, now: number): void {
    const { sockets, events, rows, counters, limits, ownHost } = this.#options;
    const table = this.#table;
    const descriptor = this.#dials.take(slot);
    counters.add(RelayCount.Dialing, -1);
    if (ownHost === "refuse" && sockets.isToOwnHost(descriptor)) {
      sockets.reset(descriptor);
      return this.#refuse(slot, OWN_HOST, now);
    }
    const key = eventKey(EventSource.Side, slot * 2 + 1);
    if (events.add(descriptor, SIDE_EVENTS, key) !== 0) {
      sockets.reset(descriptor);
      return this.#refuse(slot, NO_ROOM, now);
    }
    table.descriptor[slot * 2 + 1] = descriptor;
    table.state[slot] = ConnectionState.Entering;
    this.#entering++;
    counters.add(RelayCount.Entering);
    sockets.noDelay(descriptor);
    sockets.setUnsentLimit(descriptor, UNSENT_LIMIT);
    const row = table.row[slot];
    const generation = table.generation[slot];
    if (!rows.settle(row, generation, "open")) {
      return this.#end(slot, RelayCount.Abandoned);
    }
    this.#deadlines.set(slot, now + limits.acceptTimeoutMs);
    // Where the system does not take it, the client sends it again.
    rows.enter(row, generation, this.#syns[slot]!);
  }

  /** The dial came to nothing. */
  #refuse(slot: number, failure: DialFailure, now: number): void {
    const { row, generation } = this.#table;
    const syn = this.#syns[slot]!;
    this.#refusals.refuse(row[slot], generation[slot], syn, failure, now);
    this.#release(slot);
  }

  /** @returns whether the connection is still open after the turn. */
  #turn(side: number, now: number): boolean {
    const slot = side >>> 1;
    const mover = this.#mover;
    const moved = mover.move(side);
    if (mover.moved > 0) {
      this.#table.activeAt[slot] = now;
      this.#options.counters.add(
        (side & 1) === 0 ? RelayCount.BytesOut : RelayCount.BytesIn,
        mover.moved,
      );
    }
    if (moved === Moved.Waiting) return true;
    if (moved === Moved.More) {
      this.#table.queue(side);
      return true;
    }
    this.#end(
      slot,
      moved === Moved.Finished ? RelayCount.Finished : RelayCount.Reset,
    );
    return false;
  }

  /** Ends what a slot holds because its client has other plans; -1 for none. */
  #abandonSlot(slot: number): void {
    if (slot < 0) return;
    const table = this.#table;
    const client = table.descriptor[slot * 2];
    if (client >= 0 && this.#options.sockets.peerFinished(client)) {
      // What the client sent before it finished is still to be passed on.
      this.#slotOfRow[table.row[slot]] = -1;
      return;
    }
    this.#end(slot, RelayCount.Abandoned);
  }

  /** Ends a connection and counts why: with a RST both ways, unless both have finished. */
  #end(slot: number, why: RelayCount): void {
    const { sockets, counters } = this.#options;
    const { descriptor } = this.#table;
    counters.add(why);
    for (let side = slot * 2; side < slot * 2 + 2; side++) {
      const socket = descriptor[side];
      if (socket < 0) continue;
      if (why === RelayCount.Finished) sockets.close(socket);
      else sockets.reset(socket);
    }
    this.#release(slot);
  }

  #leaveEntering(): void {
    this.#entering--;
    this.#options.counters.add(RelayCount.Entering, -1);
  }

  /** One descriptor for each client that is to come. */
  #keepReserve(): void {
    this.#reserve.keep(this.#dials.count + this.#entering);
  }

  #release(slot: number): void {
    const { counters } = this.#options;
    const table = this.#table;
    if (this.#dials.has(slot)) {
      this.#dials.forget(slot);
      counters.add(RelayCount.Dialing, -1);
    }
    if (table.state[slot] === ConnectionState.Entering) {
      this.#leaveEntering();
    } else if (table.state[slot] === ConnectionState.Open) {
      counters.add(RelayCount.Open, -1);
    }
    this.#syns[slot] = undefined;
    this.#deadlines.clear(slot);
    const row = table.row[slot];
    if (this.#slotOfRow[row] === slot) this.#slotOfRow[row] = -1;
    table.release(slot);
    this.#keepReserve();
  }
}

/** What an event says about a side. */
function flagsOf(happened: number): number {
  let flags = 0;
  if ((happened & (SocketEvent.Error | SocketEvent.HangUp)) !== 0) {
    flags = SideFlag.Failed | SideFlag.Readable | SideFlag.Writable;
  }
  if ((happened & SocketEvent.ReadFinished) !== 0) {
    flags |= SideFlag.Finishing | SideFlag.Readable;
  }
  if ((happened & SocketEvent.Urgent) !== 0) flags |= SideFlag.Urgent;
  if ((happened & SocketEvent.Readable) !== 0) flags |= SideFlag.Readable;
  if ((happened & SocketEvent.Writable) !== 0) flags |= SideFlag.Writable;
  return flags;
}
