/**
 * The open pump: what peers send.
 *
 *     take      tunnel socket -> datagrams
 *     work      decrypt
 *     finish    admit -> engine -> host device | outside | peer | control
 *
 * The engine, the replay windows and all counts are touched in `finish` alone,
 * so that one thread at a time writes them, however many run this pump.
 */
import { ControlMessage } from "../core/columns/control_message.ts";
import type { Ring } from "../core/columns/ring.ts";
import type { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import { Verdict } from "../core/columns/verdict.ts";
import { Ready, type TunnelSocket } from "../io/ports.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Opener } from "./opener.ts";
import { PARALLEL_ROWS, type Pump } from "./pump_loop.ts";

/** Decides what becomes of the packets that peers send. */
export interface TunnelEngine {
  /** Decides every undecided row: whole inner packets of `batch.peer`. */
  fromTunnel(batch: Batch, now: number): void;
  /** Expiry in bounded steps; called about every {@linkcode TICK_MS}. */
  tick?(now: number): void;
  /** A peer is gone: forget what was kept for it. */
  removePeer?(peer: number): void;
}

/** What an open pump is made of. */
export interface OpenPumpOptions {
  readonly socket: TunnelSocket;
  readonly opener: Opener;
  readonly engine: TunnelEngine;
  readonly dispatcher: Dispatcher;
  readonly counters: Counters;
  readonly batch: Batch;
  /** Commands of the control thread; read when the wake comes. */
  readonly commands: Ring;
  /** A cell that all threads of this pump share: when the next tick is due, ms. */
  readonly nextTick: Float64Array;
}

/** How often engines expire what is old, in ms. */
export const TICK_MS = 1000;

/** See the module header. */
export class OpenPump implements Pump {
  readonly #options: OpenPumpOptions;
  #ready = 0;
  // No number at first, so that V8 keeps a time in the box that it came in and
  // hands that on: of a field that is always a number it boxes every use.
  #now = undefined as unknown as number;
  #isTick = false;
  #isCommand = false;

  constructor(options: OpenPumpOptions) {
    this.#options = options;
  }

  /** An engine without a tick costs no wake-ups. */
  get deadline(): number {
    const { engine, nextTick } = this.#options;
    return engine.tick === undefined ? Infinity : nextTick[0];
  }

  get alone(): boolean {
    return this.#isTick || this.#isCommand ||
      this.#options.batch.count < PARALLEL_ROWS;
  }

  notice(ready: number, now: number): void {
    this.#ready = ready;
    this.#now = now;
  }

  take(): boolean {
    const { batch, socket, nextTick } = this.#options;
    const ready = this.#ready;
    this.#ready = 0;
    batch.clear();
    this.#isCommand = (ready & Ready.Wake) !== 0;
    this.#isTick = this.#now >= this.deadline;
    if (this.#isTick) nextTick[0] = this.#now + TICK_MS;
    if ((ready & Ready.Tunnel) !== 0) socket.receive(batch);
    return batch.count > 0 || this.#isCommand || this.#isTick;
  }

  work(): void {
    this.#options.opener.decrypt(this.#options.batch, this.#now);
  }

  finish(): void {
    const { batch, opener, engine, dispatcher, commands } = this.#options;
    const now = this.#now;
    if (this.#isCommand) commands.read(this.#obey);
    if (batch.count > 0) {
      opener.admit(batch, now);
      this.#count();
      engine.fromTunnel(batch, now);
      dispatcher.dispatch(batch, now);
    }
    if (this.#isTick) engine.tick?.(now);
  }

  #obey = (kind: number, peer: number): void => {
    if (kind === ControlMessage.PeerRemoved) {
      this.#options.engine.removePeer?.(peer);
    }
  };

  #count(): void {
    const { batch, counters } = this.#options;
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] === Verdict.Undecided) {
        counters.add(Direction.FromTunnel, 1, batch.length[row]);
      }
    }
  }
}
