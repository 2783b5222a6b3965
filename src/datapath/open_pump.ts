/**
 * The open pump: what peers send.
 *
 *     tunnel socket -> open -> engine -> host device | outside | peer | control
 *
 * One worker runs it. It blocks until a datagram or the wake comes, and looks
 * at the stop cell each time.
 */
import { ControlMessage } from "../core/columns/control_message.ts";
import type { Ring } from "../core/columns/ring.ts";
import type { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import { Verdict } from "../core/columns/verdict.ts";
import { type Poller, Ready, type TunnelSocket } from "../io/ports.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Opener } from "./opener.ts";

/** Decides what becomes of the packets that peers send. */
export interface TunnelEngine {
  /** Decides every undecided row: whole inner packets of `batch.peer`. */
  fromTunnel(batch: Batch, now: number): void;
  /** Expiry in bounded steps; called at least every {@linkcode TICK_MS}. */
  tick?(now: number): void;
  /** A peer is gone: forget what was kept for it. */
  removePeer?(peer: number): void;
}

/** What an open pump is made of. */
export interface OpenPumpOptions {
  readonly poller: Poller;
  readonly socket: TunnelSocket;
  readonly opener: Opener;
  readonly engine: TunnelEngine;
  readonly dispatcher: Dispatcher;
  readonly counters: Counters;
  readonly batch: Batch;
  /** Commands of the control thread; read when the wake comes. */
  readonly commands: Ring;
  /** The workers' clock, ms. */
  readonly now: () => number;
  /** A shared cell: not 0 when the pump is to end. */
  readonly stop: Int32Array;
}

/** How often engines expire what is old, in ms. */
export const TICK_MS = 1000;

/** Runs until the stop cell is set. */
export function runOpenPump(options: OpenPumpOptions): void {
  const { poller, socket, opener, engine, dispatcher, batch, now, stop } =
    options;
  let nextTick = now() + TICK_MS;
  const obey = (kind: number, peer: number) => {
    if (kind === ControlMessage.PeerRemoved) engine.removePeer?.(peer);
  };
  while (Atomics.load(stop, 0) === 0) {
    const ready = poller.wait(Math.max(0, Math.ceil(nextTick - now())));
    const time = now();
    if ((ready & Ready.Wake) !== 0) options.commands.read(obey);
    if ((ready & Ready.Tunnel) !== 0) {
      batch.clear();
      if (socket.receive(batch) > 0) {
        opener.open(batch, time);
        countReceived(batch, options.counters);
        engine.fromTunnel(batch, time);
        dispatcher.dispatch(batch, time);
      }
    }
    if (time >= nextTick) {
      engine.tick?.(time);
      nextTick = time + TICK_MS;
    }
  }
}

function countReceived(batch: Batch, counters: Counters): void {
  for (let row = 0; row < batch.count; row++) {
    if (batch.verdict[row] === Verdict.Undecided) {
      counters.add(Direction.FromTunnel, 1, batch.length[row]);
    }
  }
}
