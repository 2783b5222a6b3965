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
import { type Counters, Direction } from "../core/columns/counters.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import type { Ring } from "../core/columns/ring.ts";
import { Verdict } from "../core/columns/verdict.ts";
import type { PacketWay } from "../core/engine/packet_ways.ts";
import type { SplitTunnel } from "../core/engine/split_tunnel.ts";
import type { FlowTable, Way } from "../core/flow/flow_table.ts";
import type { NatTable } from "../core/flow/nat.ts";
import { PostedVerdict, readVerdict } from "../core/flow/posted_verdict.ts";
import {
  type OutsidePort,
  Ready,
  type TunDevice,
  type TunnelsPoller,
} from "../io/ports.ts";
import type { OutsideSender } from "./dispatcher.ts";
import type { DropTrace } from "./drop_trace.ts";
import type { PacketTunnel } from "./packet_tunnel.ts";
import { OutsideIntake } from "./outside_intake.ts";
import type { Pump } from "./pump_loop.ts";
import type { RelayLink } from "./relay_link.ts";

/** A packet tunnel that was opened for an outbound. */
export interface AttachedTunnel {
  readonly tunnel: PacketTunnel;
  readonly way: PacketWay;
  /** The slot that it was posted in. */
  readonly slot: number;
}

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
  readonly nat: NatTable;
  readonly relay: RelayLink;
  /** From the control thread. */
  readonly commands: Ring;
  /** Opens a tunnel that was posted: Attach's bytes. */
  readonly openTunnel: (
    bytes: Uint8Array,
    at: number,
    length: number,
  ) => AttachedTunnel;
  /** A slot is no longer used. */
  readonly detached: (slot: number) => void;
  readonly counters: Counters;
  readonly trace: DropTrace;
  readonly batch: Batch;
  /** Ways out have numbers below this. */
  readonly outbounds: number;
}

/** How often what is idle is looked for, in ms. */
const TICK_MS = 1000;
/** Batches read from the interface, and from each tunnel, before the poller is asked again. */
const ROUNDS = 4;

/** See the module header. */
export class ClientPump implements Pump {
  readonly alone = true;
  readonly #options: ClientPumpOptions;
  readonly #intake: OutsideIntake;
  readonly #tunnels: (AttachedTunnel | undefined)[];
  readonly #verdict = new PostedVerdict();
  readonly #handleCommand = this.#command.bind(this);
  // No number at first, so that V8 keeps a time in the box that it came in and
  // hands that on: of a field that is always a number it boxes every use.
  #now = undefined as unknown as number;
  #nextTick = 0;
  #isTick = false;
  #hasCommands = true;
  /** Batches that may still be read from the interface. */
  #rounds = 0;
  /** How many tunnels the poller reported, and reads that are left of them. */
  #reported = 0;
  #reads = 0;
  /** Tunnels that have been read empty: a bit for each outbound. */
  #drained = 0;
  #turn = 0;
  #isFromTunnel = false;

  constructor(options: ClientPumpOptions) {
    const { poller, batch, counters, outside, nat, engine } = options;
    this.#options = options;
    this.#intake = new OutsideIntake({
      ...{ poller, batch, counters, nat, engine },
      port: outside.port,
    });
    this.#tunnels = new Array(options.outbounds).fill(undefined);
  }

  get deadline(): number {
    return this.#nextTick;
  }

  notice(ready: number, now: number): void {
    const { poller } = this.#options;
    this.#now = now;
    this.#isTick = now >= this.#nextTick;
    if (this.#isTick) this.#nextTick = now + TICK_MS;
    this.#rounds = (ready & Ready.Tun) !== 0 ? ROUNDS : 0;
    this.#reported = poller.tunnelCount;
    this.#reads = this.#reported * ROUNDS;
    this.#drained = 0;
    this.#intake.notice(ready);
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
    const { batch, relay } = this.#options;
    if (batch.count > 0) this.#dispatch();
    relay.flush();
  }

  /** Takes the tunnels out of the poll set; their sockets are their openers'. */
  [Symbol.dispose](): void {
    for (const attached of this.#tunnels) {
      if (attached === undefined) continue;
      this.#options.poller.forgetTunnel(attached.tunnel.socket.descriptor);
    }
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
    const { openTunnel, engine, poller } = this.#options;
    const attached = openTunnel(bytes, at, length);
    const { socket } = attached.tunnel;
    this.#tunnels[outbound] = attached;
    engine.attach(outbound, attached.way, socket.port);
    if (!poller.watchTunnel(socket.descriptor, outbound)) {
      throw new Error("the poll set has no room for another tunnel");
    }
  }

  #detach(outbound: number): void {
    const { engine, batch, poller, detached } = this.#options;
    engine.detach(batch, outbound, this.#now);
    const attached = this.#tunnels[outbound];
    if (attached === undefined) return;
    this.#tunnels[outbound] = undefined;
    poller.forgetTunnel(attached.tunnel.socket.descriptor);
    this.#reads = 0;
    detached(attached.slot);
  }

  #takeFrom(source: number): boolean {
    switch (source) {
      case 0:
        return this.#takeHost();
      case 1:
        return this.#intake.take(this.#now);
      default:
        return this.#takeTunnel();
    }
  }

  #takeHost(): boolean {
    const { tun, batch, engine, counters } = this.#options;
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
    engine.fromHost(batch, this.#now);
    return true;
  }

  /** A batch of what waits at the next of the tunnels that were reported. */
  #takeTunnel(): boolean {
    const { poller, batch, engine } = this.#options;
    while (this.#reads > 0) {
      const outbound = poller.tunnel(--this.#reads % this.#reported);
      const attached = this.#tunnels[outbound];
      const bit = 1 << outbound;
      if (attached === undefined || (this.#drained & bit) !== 0) continue;
      if (attached.tunnel.receive(batch, this.#now) === 0) {
        this.#drained |= bit;
        continue;
      }
      engine.fromTunnel(batch, outbound, this.#now);
      this.#isFromTunnel = true;
      return true;
    }
    return false;
  }

  #dispatch(): void {
    const { batch, tun, joinedTun, outside, counters } = this.#options;
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
    const device = this.#isFromTunnel ? joinedTun : tun;
    const refused = device.write(batch);
    if (refused > 0) counters.drop(DropReason.HostDeviceFull, refused);
  }

  #dispatchRows(from: number): void {
    const { batch, engine, outside, relay, nat, flows, counters } =
      this.#options;
    let used = 0;
    for (let row = from; row < batch.count; row++) {
      switch (batch.verdict[row]) {
        case Verdict.ToHost:
          counters.add(Direction.ToHost, 1, batch.length[row]);
          break;
        case Verdict.ToTunnel:
          used |= 1 << batch.target[row];
          this.#toTunnel(row);
          break;
        case Verdict.ToUdp:
        case Verdict.ToEcho:
          counters.add(Direction.ToOutside, 1, batch.length[row]);
          outside.port.send(nat.handle[batch.target[row]], batch, row);
          break;
        case Verdict.ToRelay:
          if (!relay.dial(batch, row)) {
            engine.tcp.dialFailed(batch, row, this.#now);
            this.#drop(row);
          }
          break;
        case Verdict.ToRelayUdp: {
          const generation = flows.generationOf(batch.target[row]);
          if (!relay.datagram(batch, row, generation)) {
            batch.drop(row, DropReason.RelayQueueFull);
            this.#drop(row);
          }
          break;
        }
        case Verdict.Drop:
          this.#drop(row);
          break;
      }
    }
    for (let outbound = 0; used !== 0; outbound++, used >>>= 1) {
      if ((used & 1) !== 0) this.#tunnels[outbound]?.tunnel.flush(this.#now);
    }
  }

  #toTunnel(row: number): void {
    const { batch } = this.#options;
    const attached = this.#tunnels[batch.target[row]];
    const reason = attached === undefined
      ? DropReason.NoOutbound
      : attached.tunnel.send(batch, row, this.#now);
    if (reason === DropReason.None) return;
    batch.drop(row, reason);
    this.#drop(row);
  }

  #drop(row: number): void {
    const { batch, counters, trace } = this.#options;
    const reason = batch.target[row];
    counters.drop(reason);
    trace.dropped(batch, row, reason, this.#now);
  }
}
