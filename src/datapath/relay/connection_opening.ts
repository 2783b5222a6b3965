/**
 * How a relay's connections come about: the outside is dialed, then the client
 * is let in, then both sides are joined. A client is let in only once the
 * outside stands, so that it never sees an accepted connection to a closed port.
 */
import { parsePacket } from "../../core/wire/packet.ts";
import { PacketView } from "../../core/wire/packet_view.ts";
import { Protocol } from "../../core/wire/protocol.ts";
import type { Dialer, DialFailure } from "../../io/ports/dialer.ts";
import { SocketEvent, SocketTrigger } from "../../io/ports/socket_events.ts";
import type {
  ConnectionSlots,
  ConnectionSlotsOptions,
} from "./connection_slots.ts";
import { ConnectionState, SideFlag } from "./connection_table.ts";
import { NO_DESCRIPTOR, NO_ROOM, OWN_HOST, TOO_SLOW } from "./dial_failures.ts";
import { DialRefusals, type DialRefusalsOptions } from "./dial_refusals.ts";
import { eventKey, EventSource } from "./event_key.ts";
import { RelayCount } from "./relay_counters.ts";
import { UNSENT_LIMIT } from "./relay_settings.ts";

/** What connections are opened with. */
export interface ConnectionOpeningOptions
  extends ConnectionSlotsOptions, DialRefusalsOptions {
  readonly dialer: Dialer;
  /** `refuse`: what turns out to lead to this host itself is not let in. */
  readonly ownHost: "allow" | "refuse";
}

const SIDE_EVENTS = SocketEvent.Readable | SocketEvent.Writable |
  SocketEvent.Urgent | SocketEvent.ReadFinished | SocketTrigger.Edge;

/** See the module header. */
export class ConnectionOpening {
  readonly #options: ConnectionOpeningOptions;
  readonly #slots: ConnectionSlots;
  readonly #refusals: DialRefusals;
  readonly #view = new PacketView();

  constructor(options: ConnectionOpeningOptions, slots: ConnectionSlots) {
    this.#options = options;
    this.#slots = slots;
    this.#refusals = new DialRefusals(options);
  }

  /** Starts the outside connection for a client's SYN, a whole IP packet, of a row that has no slot. */
  dial(
    row: number,
    generation: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): void {
    const { dialer, counters, limits, rows } = this.#options;
    const slots = this.#slots;
    const view = this.#view;
    const valid = parsePacket(bytes, at, length, view) === 0 &&
      view.protocol === Protocol.Tcp;
    const slot = valid && slots.dials.count < limits.dialing
      ? slots.take(row, generation)
      : -1;
    if (slot < 0) {
      counters.add(RelayCount.Limited);
      rows.settle(row, generation, "refused");
      return;
    }
    slots.syns[slot] = bytes.slice(at, at + length);
    if (!slots.reserve.take()) return this.#refuse(slot, NO_DESCRIPTOR, now);
    const words = view.destinationWords.slice();
    const dial = dialer.dial({
      words,
      port: view.destinationPort,
      connection: { row, generation },
    });
    slots.dials.start(slot, dial);
    counters.add(RelayCount.Dialing);
    slots.deadlines.set(slot, now + limits.connectTimeoutMs);
    this.advance(slot, now);
  }

  /** Lets the dial of a slot go on. */
  advance(slot: number, now: number): void {
    const { dials } = this.#slots;
    const state = dials.step(slot);
    if (state === "connected") this.#letIn(slot, now);
    else if (state === "failed") this.#refuse(slot, dials.failure(slot), now);
  }

  /** The dial of a slot has taken too long. */
  giveUp(slot: number, now: number): void {
    this.#refuse(slot, TOO_SLOW, now);
  }

  /**
   * Makes room for a client where the system has no descriptor left.
   * @returns whether there is one now
   */
  exhausted(error: number, now: number): boolean {
    if (this.#slots.reserve.free()) return true;
    const { sockets, counters } = this.#options;
    counters.add(RelayCount.OutOfDescriptors);
    const text = sockets.errorText(error);
    this.#refusals.note({ kind: "system", text }, now);
    return false;
  }

  /**
   * Joins an accepted connection to the one that was made for it.
   * @returns the slot, open now; -1 where nobody was let in from there
   */
  join(
    descriptor: number,
    peer: Int32Array,
    port: number,
    now: number,
  ): number {
    const { sockets, events, counters, limits } = this.#options;
    const slots = this.#slots;
    const slot = this.#slotFor(peer, port);
    const client = slot * 2;
    const key = eventKey(EventSource.Side, client);
    if (slot < 0 || events.add(descriptor, SIDE_EVENTS, key) !== 0) {
      sockets.reset(descriptor);
      counters.add(RelayCount.Strays);
      slots.keepReserve();
      return -1;
    }
    const { table } = slots;
    table.descriptor[client] = descriptor;
    slots.open(slot);
    counters.add(RelayCount.Opened);
    // It may be written to at once; its own first event tells the rest.
    table.flags[client] |= SideFlag.Writable;
    table.activeAt[slot] = now;
    slots.deadlines.set(slot, now + limits.idleTimeoutMs);
    return slot;
  }

  /** The slot that an accepted connection belongs to, or -1. */
  #slotFor(peer: Int32Array, port: number): number {
    const slot = this.#slots.ofRow(this.#options.rows.rowOf(peer, port));
    return slot >= 0 &&
        this.#slots.table.state[slot] === ConnectionState.Entering
      ? slot
      : -1;
  }

  /** The outside stands: the client may come. */
  #letIn(slot: number, now: number): void {
    const { sockets, events, rows, counters, limits, ownHost } = this.#options;
    const slots = this.#slots;
    const { table } = slots;
    const descriptor = slots.dials.take(slot);
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
    slots.enter(slot);
    sockets.noDelay(descriptor);
    sockets.setUnsentLimit(descriptor, UNSENT_LIMIT);
    const row = table.row[slot];
    const generation = table.generation[slot];
    if (!rows.settle(row, generation, "open")) {
      return slots.end(slot, RelayCount.Abandoned);
    }
    slots.deadlines.set(slot, now + limits.acceptTimeoutMs);
    // Where the system does not take it, the client sends it again.
    rows.enter(row, generation, slots.syns[slot]!);
  }

  /** The dial came to nothing. */
  #refuse(slot: number, failure: DialFailure, now: number): void {
    const slots = this.#slots;
    const { row, generation } = slots.table;
    const syn = slots.syns[slot]!;
    this.#refusals.refuse(row[slot], generation[slot], syn, failure, now);
    slots.release(slot);
  }
}
