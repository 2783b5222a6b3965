/**
 * The pump of a TUN stack: what programs of this host send into the interface,
 * and what comes back for them.
 *
 *     take      interface | outside sockets -> engine
 *     finish    interface | outside sockets | relay worker
 *
 * One thread runs it: it has nothing to work on between the two.
 */
import type { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import { Verdict } from "../core/columns/verdict.ts";
import type { TunStack } from "../core/engine/tun_stack.ts";
import type { NatTable } from "../core/flow/nat.ts";
import {
  type OutsidePort,
  type Poller,
  Ready,
  type TunDevice,
} from "../io/ports.ts";
import type { OutsideSender } from "./dispatcher.ts";
import type { DropTrace } from "./drop_trace.ts";
import { OutsideIntake } from "./outside_intake.ts";
import type { Pump } from "./pump_loop.ts";
import type { RelayLink } from "./relay_link.ts";

/** What a TUN pump is made of. */
export interface TunPumpOptions {
  readonly poller: Poller;
  readonly tun: TunDevice;
  readonly stack: TunStack;
  readonly outside: OutsideSender & { readonly port: OutsidePort };
  readonly nat: NatTable;
  readonly relay: RelayLink;
  readonly counters: Counters;
  readonly trace: DropTrace;
  readonly batch: Batch;
}

/** How often what is idle is looked for, in ms. */
const TICK_MS = 1000;
/** Batches read from the interface before the poller is asked again. */
const DEVICE_ROUNDS = 4;

/** See the module header. */
export class TunPump implements Pump {
  readonly alone = true;
  readonly #options: TunPumpOptions;
  readonly #intake: OutsideIntake;
  // No number at first, so that V8 keeps a time in the box that it came in and
  // hands that on: of a field that is always a number it boxes every use.
  #now = undefined as unknown as number;
  #nextTick = 0;
  #isTick = false;
  /** Batches that may still be read from the interface. */
  #rounds = 0;
  #turn: "host" | "outside" = "host";

  constructor(options: TunPumpOptions) {
    const { poller, batch, counters, outside, nat, stack } = options;
    this.#options = options;
    this.#intake = new OutsideIntake({
      ...{ poller, batch, counters, nat },
      port: outside.port,
      engine: stack,
    });
  }

  get deadline(): number {
    return this.#nextTick;
  }

  notice(ready: number, now: number): void {
    this.#now = now;
    this.#isTick = now >= this.#nextTick;
    if (this.#isTick) this.#nextTick = now + TICK_MS;
    this.#rounds = (ready & Ready.Tun) !== 0 ? DEVICE_ROUNDS : 0;
    this.#intake.notice(ready);
  }

  take(): boolean {
    this.#options.batch.clear();
    this.#turn = this.#turn === "host" ? "outside" : "host";
    const taken = this.#turn === "host"
      ? this.#takeHost() || this.#intake.take(this.#now)
      : this.#intake.take(this.#now) || this.#takeHost();
    return taken || this.#isTick;
  }

  work(): void {}

  finish(): void {
    const { batch, stack, relay } = this.#options;
    if (batch.count > 0) this.#dispatch();
    if (this.#isTick) {
      this.#isTick = false;
      stack.tick(this.#now);
    }
    relay.flush();
  }

  #takeHost(): boolean {
    const { tun, batch, stack, counters } = this.#options;
    if (this.#rounds === 0) return false;
    this.#rounds--;
    if (tun.read(batch) === 0) {
      if (tun.gone) throw new Error(`the interface ${tun.name} was removed`);
      this.#rounds = 0;
      return false;
    }
    for (let row = 0; row < batch.count; row++) {
      counters.add(Direction.FromHost, 1, batch.length[row]);
    }
    stack.fromHost(batch, this.#now);
    return true;
  }

  #dispatch(): void {
    const { batch, tun, outside, counters } = this.#options;
    const { port } = outside;
    const decided = batch.count;
    this.#dispatchRows(0);
    port.flush();
    for (let i = 0; i < port.failedCount; i++) {
      const row = port.failedRow[i];
      outside.failed(batch, row, port.failedErrno[i], this.#now);
      this.#drop(row);
    }
    // Failures may have appended answers to programs.
    this.#dispatchRows(decided);
    const refused = tun.write(batch);
    if (refused > 0) counters.drop(DropReason.HostDeviceFull, refused);
  }

  #dispatchRows(from: number): void {
    const { batch, stack, outside, relay, nat, counters } = this.#options;
    for (let row = from; row < batch.count; row++) {
      switch (batch.verdict[row]) {
        case Verdict.ToHost:
          counters.add(Direction.ToHost, 1, batch.length[row]);
          break;
        case Verdict.ToUdp:
        case Verdict.ToEcho:
          counters.add(Direction.ToOutside, 1, batch.length[row]);
          outside.port.send(nat.handle[batch.target[row]], batch, row);
          break;
        case Verdict.ToRelay:
          if (!relay.dial(batch, row)) {
            stack.tcp.dialFailed(batch, row, this.#now);
            this.#drop(row);
          }
          break;
        case Verdict.ToRelayUdp:
          if (!relay.datagram(batch, row)) {
            batch.drop(row, DropReason.RelayQueueFull);
            this.#drop(row);
          }
          break;
        case Verdict.Drop:
          this.#drop(row);
          break;
      }
    }
  }

  #drop(row: number): void {
    const { batch, counters, trace } = this.#options;
    const reason = batch.target[row];
    counters.drop(reason);
    trace.dropped(batch, row, reason, this.#now);
  }
}
