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
import type { Counters } from "../core/columns/counters.ts";
import type { TunStack } from "../core/engine/tun_stack.ts";
import type { OutsidePort, Poller, TunDevice } from "../io/ports.ts";
import type { OutsideSender } from "./dispatcher.ts";
import type { DropTrace } from "./drop_trace.ts";
import { HostDispatch } from "./host_dispatch.ts";
import { HostIntake } from "./host_intake.ts";
import { OutsideIntake } from "./outside_intake.ts";
import type { Pump } from "./pump_loop.ts";
import type { RelayLink } from "./relay_link.ts";

/** What a TUN pump is made of. */
export interface TunPumpOptions {
  readonly poller: Poller;
  readonly tun: TunDevice;
  readonly stack: TunStack;
  readonly outside: OutsideSender & { readonly port: OutsidePort };
  readonly relay: RelayLink;
  readonly counters: Counters;
  readonly trace: DropTrace;
  readonly batch: Batch;
}

/** How often what is idle is looked for, in ms. */
const TICK_MS = 1000;

/** See the module header. */
export class TunPump implements Pump {
  readonly alone = true;
  readonly #options: TunPumpOptions;
  readonly #host: HostIntake;
  readonly #outside: OutsideIntake;
  readonly #dispatch: HostDispatch;
  // No number at first, so that V8 keeps a time in the box that it came in and
  // hands that on: of a field that is always a number it boxes every use.
  #now = undefined as unknown as number;
  #nextTick = 0;
  #isTick = false;
  #turn: "host" | "outside" = "host";

  constructor(options: TunPumpOptions) {
    const { poller, batch, counters, outside, stack } = options;
    const { port, nat } = outside;
    const engine = stack;
    this.#options = options;
    this.#host = new HostIntake({ ...options, engine });
    this.#outside = new OutsideIntake(
      { poller, batch, counters, nat, port, engine },
    );
    this.#dispatch = new HostDispatch({ ...options, tcp: stack.tcp });
  }

  get deadline(): number {
    return this.#nextTick;
  }

  notice(ready: number, now: number): void {
    this.#now = now;
    this.#isTick = now >= this.#nextTick;
    if (this.#isTick) this.#nextTick = now + TICK_MS;
    this.#host.notice(ready);
    this.#outside.notice(ready);
  }

  take(): boolean {
    this.#options.batch.clear();
    this.#turn = this.#turn === "host" ? "outside" : "host";
    const taken = this.#turn === "host"
      ? this.#host.take(this.#now) || this.#outside.take(this.#now)
      : this.#outside.take(this.#now) || this.#host.take(this.#now);
    return taken || this.#isTick;
  }

  work(): void {}

  finish(): void {
    const { batch, stack, relay, tun } = this.#options;
    if (batch.count > 0) this.#dispatch.send(tun, this.#now);
    if (this.#isTick) {
      this.#isTick = false;
      stack.tick(this.#now);
    }
    relay.flush();
  }
}
