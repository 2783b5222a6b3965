/**
 * The seal pump: what goes to peers.
 *
 *     take      host device | outside sockets -> engine -> counters reserved
 *     work      encrypt
 *     finish    tunnel socket
 *
 * The engine and the mappings' sockets are touched in `take` alone, and message
 * counters are taken there, so that they leave in their order: a peer's replay
 * window sees no disorder, however many threads run this pump.
 */
import type { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import { type Poller, Ready, type TunDevice } from "../io/ports.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { OutsideIntake, type OutsideReceiver } from "./outside_intake.ts";
import { PARALLEL_ROWS, type Pump } from "./pump_loop.ts";
import type { Sealer } from "./sealer.ts";

/** Decides what becomes of packets from the host. */
export interface HostEngine {
  /** Decides every row: whole packets that the host sent into the device. */
  fromHost(batch: Batch, now: number): void;
}

/** What a seal pump is made of. */
export interface SealPumpOptions {
  readonly poller: Poller;
  readonly engine: HostEngine;
  readonly sealer: Sealer;
  readonly dispatcher: Dispatcher;
  readonly counters: Counters;
  readonly batch: Batch;
  /** Absent where the tunnel has no device on the host. */
  readonly tun: TunDevice | undefined;
  /** Absent where nothing is translated. */
  readonly outside: OutsideReceiver | undefined;
}

/** Batches read from the device before the poller is asked again. */
const DEVICE_ROUNDS = 4;

/** See the module header. */
export class SealPump implements Pump {
  readonly #options: SealPumpOptions;
  readonly #intake: OutsideIntake | undefined;
  // No number at first, so that V8 keeps a time in the box that it came in and
  // hands that on: of a field that is always a number it boxes every use.
  #now = undefined as unknown as number;
  /** Batches that may still be read from the device. */
  #rounds = 0;
  #turn: "host" | "outside" = "host";

  constructor(options: SealPumpOptions) {
    const { poller, batch, counters, outside } = options;
    this.#options = options;
    this.#intake = outside &&
      new OutsideIntake({ ...outside, poller, batch, counters });
  }

  /** At once where the device holds a packet that no poller knows of. */
  get deadline(): number {
    return this.#options.tun?.pending ? 0 : Infinity;
  }

  get alone(): boolean {
    const { batch, tun } = this.#options;
    return batch.count < PARALLEL_ROWS || tun?.pending === true;
  }

  notice(ready: number, now: number): void {
    const { tun } = this.#options;
    this.#now = now;
    this.#rounds = (ready & Ready.Tun) !== 0 || tun?.pending
      ? DEVICE_ROUNDS
      : 0;
    this.#intake?.notice(ready);
  }

  take(): boolean {
    const { batch, sealer } = this.#options;
    batch.clear();
    this.#turn = this.#turn === "host" ? "outside" : "host";
    const taken = this.#turn === "host"
      ? this.#takeHost() || this.#takeOutside()
      : this.#takeOutside() || this.#takeHost();
    if (taken) sealer.reserve(batch, this.#now);
    return taken;
  }

  work(): void {
    this.#options.sealer.encrypt(this.#options.batch);
  }

  finish(): void {
    this.#options.dispatcher.dispatch(this.#options.batch, this.#now);
  }

  #takeHost(): boolean {
    const { tun, batch, engine, counters } = this.#options;
    if (tun === undefined || this.#rounds === 0) return false;
    this.#rounds--;
    if (tun.read(batch) === 0) {
      if (tun.gone) throw new Error(`the interface ${tun.name} was removed`);
      this.#rounds = 0;
      return false;
    }
    for (let row = 0; row < batch.count; row++) {
      counters.add(Direction.FromHost, 1, batch.length[row]);
    }
    engine.fromHost(batch, this.#now);
    return true;
  }

  #takeOutside(): boolean {
    return this.#intake !== undefined && this.#intake.take(this.#now);
  }
}
