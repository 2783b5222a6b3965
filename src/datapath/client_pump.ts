/**
 * The pump of a split tunnel: what programs of this host send into the
 * interface, what comes back for them by sockets and tunnels, and what the
 * control thread decides.
 *
 *     take      commands | held packets | interface | outside sockets | tunnels -> engine
 *     finish    interface | outside sockets | relay worker | tunnels
 *
 * One thread runs it: it has nothing to work on between the two.
 */
import type { Batch } from "../core/columns/batch.ts";
import { ClientMessage } from "../core/columns/client_message.ts";
import type { Counters } from "../core/columns/counters.ts";
import type { Ring } from "../core/columns/ring.ts";
import type { SplitTunnel } from "../core/engine/split_tunnel.ts";
import type { FlowTable, Way } from "../core/flow/flow_table.ts";
import { PostedVerdict, readVerdict } from "../core/flow/posted_verdict.ts";
import {
  type OutsidePort,
  Ready,
  type TunDevice,
  type TunnelsPoller,
} from "../io/ports.ts";
import type { OutsideSender } from "./dispatcher.ts";
import type { DropTrace } from "./drop_trace.ts";
import { HostDispatch } from "./host_dispatch.ts";
import { HostIntake } from "./host_intake.ts";
import { OutsideIntake } from "./outside_intake.ts";
import type { Pump } from "./pump_loop.ts";
import type { RelayLink } from "./relay_link.ts";
import { type AttachedTunnel, TunnelSet } from "./tunnel_set.ts";

/** What a client pump is made of. */
export interface ClientPumpOptions {
  readonly poller: TunnelsPoller;
  /** What programs send is read from it, super-packets whole, and written back so. */
  readonly tun: TunDevice;
  /** The same interface, for packets of tunnels, which are joined. */
  readonly joinedTun: TunDevice;
  readonly engine: SplitTunnel;
  readonly flows: FlowTable;
  readonly outside: OutsideSender & { readonly port: OutsidePort };
  readonly relay: RelayLink;
  /** From the control thread. */
  readonly commands: Ring;
  /** Opens a tunnel that was posted: Attach's bytes. */
  readonly openTunnel: (
    bytes: Uint8Array,
    at: number,
    length: number,
  ) => AttachedTunnel;
  /** A slot is no longer used. @returns false where that can't be told now */
  readonly detached: (slot: number) => boolean;
  readonly counters: Counters;
  readonly trace: DropTrace;
  readonly batch: Batch;
  /** Ways out have numbers below this. */
  readonly outbounds: number;
}

/** How often what is idle is looked for, in ms. */
const TICK_MS = 1000;

/** See the module header. */
export class ClientPump implements Pump {
  readonly alone = true;
  readonly #options: ClientPumpOptions;
  readonly #host: HostIntake;
  readonly #outside: OutsideIntake;
  readonly #tunnels: TunnelSet;
  readonly #dispatch: HostDispatch;
  readonly #verdict = new PostedVerdict();
  readonly #handleCommand = this.#command.bind(this);
  // No number at first, so that V8 keeps a time in the box that it came in and
  // hands that on: of a field that is always a number it boxes every use.
  #now = undefined as unknown as number;
  #nextTick = 0;
  #isTick = false;
  #hasCommands = true;
  #turn = 0;
  #isFromTunnel = false;

  constructor(options: ClientPumpOptions) {
    const { poller, batch, counters, outside, engine } = options;
    const { port, nat } = outside;
    this.#options = options;
    this.#host = new HostIntake(options);
    this.#outside = new OutsideIntake(
      { poller, batch, counters, nat, port, engine },
    );
    const tunnels = new TunnelSet(options);
    this.#tunnels = tunnels;
    this.#dispatch = new HostDispatch({ ...options, tcp: engine.tcp, tunnels });
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
    this.#tunnels.notice();
    if ((ready & Ready.Wake) !== 0) this.#hasCommands = true;
  }

  take(): boolean {
    const { batch, engine } = this.#options;
    batch.clear();
    this.#isFromTunnel = false;
    if (this.#hasCommands || this.#isTick) {
      this.#takeCommands();
      return true;
    }
    if (engine.hasReleased) {
      engine.fromHeld(batch, this.#now);
      return true;
    }
    this.#turn = this.#turn === 2 ? 0 : this.#turn + 1;
    for (let n = 0; n < 3; n++) {
      if (this.#takeFrom((this.#turn + n) % 3)) return true;
    }
    return false;
  }

  work(): void {}

  finish(): void {
    const { batch, relay, tun, joinedTun } = this.#options;
    const device = this.#isFromTunnel ? joinedTun : tun;
    if (batch.count > 0) this.#dispatch.send(device, this.#now);
    relay.flush();
  }

  /** Takes the tunnels out of the poll set; their sockets are their openers'. */
  [Symbol.dispose](): void {
    this.#tunnels[Symbol.dispose]();
  }

  #takeCommands(): void {
    const { commands, engine, batch } = this.#options;
    if (this.#hasCommands) {
      this.#hasCommands = false;
      commands.read(this.#handleCommand);
    }
    if (!this.#isTick) return;
    this.#isTick = false;
    // A wake-up that got lost would let verdicts wait for ever.
    commands.read(this.#handleCommand);
    this.#tunnels.tellDetached();
    engine.tick(batch, this.#now);
  }

  #command(
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void {
    const { engine, batch } = this.#options;
    const now = this.#now;
    switch (kind) {
      case ClientMessage.Settle: {
        const verdict = this.#verdict;
        readVerdict(bytes, at, verdict);
        const { way, outbound, rule, to, toPort } = verdict;
        engine.settle(
          batch,
          a,
          b,
          way as Way,
          outbound,
          rule,
          to,
          0,
          toPort,
          now,
        );
        break;
      }
      case ClientMessage.Attach:
        this.#detach(a);
        this.#attach(a, bytes, at, length);
        break;
      case ClientMessage.Detach:
        this.#detach(a);
        break;
      case ClientMessage.End:
        engine.endFlow(batch, a, b, now);
        break;
      case ClientMessage.ResetDirect:
        engine.resetDirect(batch, now);
        break;
      case ClientMessage.Reset:
        engine.reset(batch, now);
    }
  }

  #attach(
    outbound: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void {
    const { openTunnel, engine } = this.#options;
    const attached = openTunnel(bytes, at, length);
    engine.attach(outbound, attached.way, attached.tunnel.socket.port);
    this.#tunnels.attach(outbound, attached);
  }

  #detach(outbound: number): void {
    const { engine, batch } = this.#options;
    engine.detach(batch, outbound, this.#now);
    this.#tunnels.detach(outbound);
  }

  #takeFrom(source: number): boolean {
    switch (source) {
      case 0:
        return this.#host.take(this.#now);
      case 1:
        return this.#outside.take(this.#now);
      default:
        return this.#takeTunnel();
    }
  }

  #takeTunnel(): boolean {
    const { batch, engine } = this.#options;
    const outbound = this.#tunnels.receive(this.#now);
    if (outbound < 0) return false;
    engine.fromTunnel(batch, outbound, this.#now);
    this.#isFromTunnel = true;
    return true;
  }
}
