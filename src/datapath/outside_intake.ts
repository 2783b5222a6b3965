/**
 * What arrives at the translator's sockets, gathered into batches: datagrams,
 * echo replies, reports of ICMP errors. The pumps that have such sockets share it.
 */
import type { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import type { NatTable } from "../core/flow/nat.ts";
import {
  type OutsideErrorReport,
  type OutsidePort,
  type Poller,
  Ready,
} from "../io/ports.ts";

/** Decides what becomes of what arrives at the translator's sockets. */
export interface OutsideEngine {
  /** Decides every undecided row: payloads that arrived for the NAT row in `target`. */
  fromOutside(batch: Batch, now: number): void;
  /** Appends what a client must know of an error about its datagram. */
  fromOutsideError(
    batch: Batch,
    natRow: number,
    report: OutsideErrorReport,
    now: number,
  ): void;
}

/** The translator's side of a pump. */
export interface OutsideReceiver {
  readonly port: OutsidePort;
  readonly nat: NatTable;
  readonly engine: OutsideEngine;
}

/** What an intake is made of. */
export interface OutsideIntakeOptions extends OutsideReceiver {
  readonly poller: Poller;
  readonly batch: Batch;
  readonly counters: Counters;
}

/** Rows after which a batch gathers from no further outside socket. */
const GATHERED_ROWS = 32;

/** See the module header. */
export class OutsideIntake {
  readonly #options: OutsideIntakeOptions;
  /** How many outside sockets the poller reported, and how many were read. */
  #sockets = 0;
  #socket = 0;
  /** Which of them is read first: another one each time, so that all get their turn. */
  #first = 0;

  constructor(options: OutsideIntakeOptions) {
    this.#options = options;
  }

  /** Takes note of why a wait ended: bits of {@linkcode Ready}. */
  notice(ready: number): void {
    const { poller, port, nat } = this.#options;
    this.#first = (this.#first + 1) & 0xffff;
    this.#socket = 0;
    this.#sockets = (ready & Ready.Outside) !== 0 ? poller.outsideCount : 0;
    if ((ready & Ready.Wake) !== 0) {
      port.closeRetired(nat);
      // Some of what was reported may be closed now; the rest comes again.
      this.#sockets = 0;
    }
  }

  /**
   * Fills the batch with what waits at the next sockets, as many as fit well,
   * and has it decided. @returns whether there is anything.
   */
  take(now: number): boolean {
    const { poller, port, engine, batch, counters } = this.#options;
    if (this.#sockets === 0) return false;
    while (this.#socket < this.#sockets && batch.count < GATHERED_ROWS) {
      const i = (this.#first + this.#socket++) % this.#sockets;
      const natRow = poller.outsideRow(i);
      const handle = poller.outsideHandle(i);
      if (poller.outsideError(i)) this.#takeErrors(natRow, handle, now);
      const before = batch.count;
      port.receive(natRow, handle, batch);
      for (let row = before; row < batch.count; row++) {
        counters.add(Direction.FromOutside, 1, batch.length[row]);
      }
    }
    engine.fromOutside(batch, now);
    return batch.count > 0;
  }

  #takeErrors(natRow: number, handle: number, now: number): void {
    const { port, engine, batch } = this.#options;
    const { report } = port;
    while (port.receiveError(handle, batch, report)) {
      const about = report.natRow >= 0 ? report.natRow : natRow;
      engine.fromOutsideError(batch, about, report, now);
    }
  }
}
