/**
 * The seal pump: what goes to peers.
 *
 *     host device | outside sockets -> engine -> seal -> tunnel socket
 *
 * One worker runs it. It blocks until a packet or the wake comes, and looks at
 * the stop cell each time.
 */
import type { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import { type NatTable } from "../core/flow/nat.ts";
import {
  type OutsideErrorReport,
  type OutsidePort,
  type Poller,
  Ready,
  type TunDevice,
} from "../io/ports.ts";
import type { Dispatcher } from "./dispatcher.ts";

/** Decides what becomes of packets from the host. */
export interface HostEngine {
  /** Decides every row: whole packets that the host sent into the device. */
  fromHost(batch: Batch, now: number): void;
}

/** Decides what becomes of what arrives at the translator's sockets. */
export interface OutsideEngine {
  /** Decides every row: payloads that arrived for the NAT row in `target`. */
  fromOutside(batch: Batch, now: number): void;
  /** Appends what a client must know of an error about its datagram. */
  fromOutsideError(
    batch: Batch,
    natRow: number,
    report: OutsideErrorReport,
    now: number,
  ): void;
}

/** The translator's side of a seal pump. */
export interface OutsideReceiver {
  readonly port: OutsidePort;
  readonly nat: NatTable;
  readonly engine: OutsideEngine;
}

/** What a seal pump is made of. */
export interface SealPumpOptions {
  readonly poller: Poller;
  readonly engine: HostEngine;
  readonly dispatcher: Dispatcher;
  readonly counters: Counters;
  readonly batch: Batch;
  /** Absent where the tunnel has no device on the host. */
  readonly tun: TunDevice | undefined;
  /** Absent where nothing is translated. */
  readonly outside: OutsideReceiver | undefined;
  /** The workers' clock, ms. */
  readonly now: () => number;
  /** A shared cell: not 0 when the pump is to end. */
  readonly stop: Int32Array;
}

/** Batches read from the device before the outside sockets get their turn. */
const DEVICE_ROUNDS = 4;

/** Runs until the stop cell is set. */
export function runSealPump(options: SealPumpOptions): void {
  const { poller, stop, now, tun, outside } = options;
  while (Atomics.load(stop, 0) === 0) {
    const ready = poller.wait(-1);
    if (tun !== undefined && (ready & Ready.Tun) !== 0) {
      pumpDevice(options, tun, now());
    }
    if (outside !== undefined) {
      if ((ready & Ready.Outside) !== 0) pumpOutside(options, outside, now());
      if ((ready & Ready.Wake) !== 0) outside.port.closeRetired(outside.nat);
    }
  }
}

function pumpDevice(
  options: SealPumpOptions,
  tun: TunDevice,
  now: number,
): void {
  const { batch, engine, dispatcher, counters } = options;
  for (let round = 0; round < DEVICE_ROUNDS; round++) {
    batch.clear();
    if (tun.read(batch) === 0) {
      if (tun.gone) throw new Error(`the interface ${tun.name} was removed`);
      return;
    }
    for (let row = 0; row < batch.count; row++) {
      counters.add(Direction.FromHost, 1, batch.length[row]);
    }
    engine.fromHost(batch, now);
    dispatcher.dispatch(batch, now);
  }
}

function pumpOutside(
  options: SealPumpOptions,
  outside: OutsideReceiver,
  now: number,
): void {
  const { poller, batch, dispatcher, counters } = options;
  const { port, engine } = outside;
  const report = port.report;
  for (let i = 0; i < poller.outsideCount; i++) {
    const natRow = poller.outsideRow(i);
    const handle = poller.outsideHandle(i);
    batch.clear();
    if (poller.outsideError(i)) {
      while (port.receiveError(handle, batch, report)) {
        engine.fromOutsideError(batch, natRow, report, now);
      }
    }
    const before = batch.count;
    port.receive(natRow, handle, batch);
    for (let row = before; row < batch.count; row++) {
      counters.add(Direction.FromOutside, 1, batch.length[row]);
    }
    engine.fromOutside(batch, now);
    dispatcher.dispatch(batch, now);
  }
}
