/**
 * The connections of a relay, from the client's held SYN to the last byte.
 *
 *     dial ──▶ Dialing ──stands──▶ Entering ──accepted──▶ Open ──▶ ended
 *                 │                   │
 *                 └ failed: answer    └ never accepted: reset outside
 *
 * Until it is open a connection is {@linkcode ConnectionOpening}'s; what it holds
 * is in {@linkcode ConnectionSlots}; here it moves bytes, and ends.
 */
import { SocketEvent } from "../../io/ports/socket_events.ts";
import { ByteMover, Moved } from "./byte_mover.ts";
import {
  ConnectionOpening,
  type ConnectionOpeningOptions,
} from "./connection_opening.ts";
import { ConnectionSlots } from "./connection_slots.ts";
import { ConnectionState, SideFlag } from "./connection_table.ts";
import { RelayCount } from "./relay_counters.ts";

/** What connections are made with. */
export type RelayConnectionsOptions = ConnectionOpeningOptions;

/** Bytes that a connection moves before others have their turn. */
const TURN_BYTES = 512 << 10;

/** See the module header. */
export class RelayConnections implements Disposable {
  readonly #options: RelayConnectionsOptions;
  readonly #slots: ConnectionSlots;
  readonly #opening: ConnectionOpening;
  readonly #mover: ByteMover;

  constructor(options: RelayConnectionsOptions) {
    this.#options = options;
    this.#slots = new ConnectionSlots(options);
    this.#opening = new ConnectionOpening(options, this.#slots);
    const { table } = this.#slots;
    this.#mover = new ByteMover(options.sockets, table, TURN_BYTES);
  }

  /** Connections in any state. */
  get size(): number {
    return this.#slots.table.size;
  }

  /** Whether a connection waits for its turn. */
  get busy(): boolean {
    return this.#slots.table.queued > 0;
  }

  /** When {@linkcode expire} is due next, ms; Infinity for never. */
  get deadline(): number {
    return this.#slots.deadlines.next();
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
    if (row < 0 || row >= this.#options.rows.capacity) return;
    this.#abandonSlot(this.#slots.ofRow(row));
    this.#opening.dial(row, generation, bytes, at, length, now);
  }

  /** Ends what became of a client's SYN: the client no longer wants it. */
  abandon(row: number, generation: number): void {
    this.#abandonSlot(this.#slots.of(row, generation));
  }

  /**
   * Ends a connection at once, whatever its client has sent before.
   * @param outside whether the other end hears of it by a RST
   */
  end(row: number, generation: number, outside: "reset" | "silent"): void {
    const slot = this.#slots.of(row, generation);
    if (slot < 0) return;
    const { descriptor } = this.#slots.table;
    const side = slot * 2 + 1;
    if (outside === "silent" && descriptor[side] >= 0) {
      this.#options.sockets.vanish(descriptor[side]);
      descriptor[side] = -1;
    }
    this.#slots.end(slot, RelayCount.Abandoned);
  }

  /** As {@linkcode ConnectionOpening.exhausted}. */
  exhausted(error: number, now: number): boolean {
    return this.#opening.exhausted(error, now);
  }

  /** Joins an accepted connection to the one that was made for it. */
  accepted(
    descriptor: number,
    peer: Int32Array,
    port: number,
    now: number,
  ): void {
    const slot = this.#opening.join(descriptor, peer, port, now);
    if (slot >= 0) this.#turn(slot * 2 + 1, now);
  }

  /** Goes on with a dial whose descriptor told something. */
  dialReady(slot: number, now: number): void {
    if (this.#slots.dials.has(slot)) this.#opening.advance(slot, now);
  }

  /**
   * Takes in what happened at a side, and moves what can be moved. An event of
   * a connection that is gone may arrive for another one in the same slot: it
   * costs that one a call that finds nothing.
   */
  sideReady(side: number, happened: number, now: number): void {
    const { table } = this.#slots;
    const slot = side >>> 1;
    table.flags[side] |= flagsOf(happened);
    if (table.state[slot] !== ConnectionState.Open) return;
    if (!this.#turn(side, now) || !this.#turn(side ^ 1, now)) return;
    // The bytes before a RST have been passed on as far as they could.
    if (
      (happened & SocketEvent.Error) !== 0 &&
      this.#options.sockets.takeError(table.descriptor[side]) !== 0
    ) this.#slots.end(slot, RelayCount.Reset);
  }

  /** Gives each connection that waits a turn. */
  takeTurns(now: number): void {
    const { table } = this.#slots;
    for (let left = table.queued; left > 0; left--) {
      const side = table.unqueue();
      if (table.state[side >>> 1] === ConnectionState.Open) {
        this.#turn(side, now);
      }
    }
  }

  /** Ends what has waited for too long. */
  expire(now: number): void {
    const { table, deadlines } = this.#slots;
    const { limits } = this.#options;
    for (;;) {
      const slot = deadlines.popDue(now);
      if (slot < 0) return;
      switch (table.state[slot]) {
        case ConnectionState.Dialing:
          this.#opening.giveUp(slot, now);
          break;
        case ConnectionState.Entering:
          this.#slots.end(slot, RelayCount.NotAccepted);
          break;
        case ConnectionState.Open: {
          const due = table.activeAt[slot] + limits.idleTimeoutMs;
          if (due > now) deadlines.set(slot, due);
          else this.#slots.end(slot, RelayCount.Idle);
        }
      }
    }
  }

  /** Resets all that is open and gives all up that is being made. */
  [Symbol.dispose](): void {
    this.#slots[Symbol.dispose]();
  }

  /** @returns whether the connection is still open after the turn. */
  #turn(side: number, now: number): boolean {
    const slot = side >>> 1;
    const { table } = this.#slots;
    const mover = this.#mover;
    const moved = mover.move(side);
    if (mover.moved > 0) {
      table.activeAt[slot] = now;
      this.#options.counters.add(
        (side & 1) === 0 ? RelayCount.BytesOut : RelayCount.BytesIn,
        mover.moved,
      );
    }
    if (moved === Moved.Waiting) return true;
    if (moved === Moved.More) {
      table.queue(side);
      return true;
    }
    this.#slots.end(
      slot,
      moved === Moved.Finished ? RelayCount.Finished : RelayCount.Reset,
    );
    return false;
  }

  /** Ends what a slot holds because its client has other plans; -1 for none. */
  #abandonSlot(slot: number): void {
    if (slot < 0) return;
    const client = this.#slots.table.descriptor[slot * 2];
    if (client >= 0 && this.#options.sockets.peerFinished(client)) {
      // What the client sent before it finished is still to be passed on.
      return this.#slots.loseRow(slot);
    }
    this.#slots.end(slot, RelayCount.Abandoned);
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
