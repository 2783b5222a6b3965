/**
 * A gateway whose TCP goes to a relay, with all around it: clients behind a bad
 * network, a kernel that ends their connections, a relay that dials servers.
 *
 *     client <~~ loss, delay, doubles ~~> Gateway.fromTunnel -> kernel (A:P)
 *                                         Gateway.fromHost   <-
 *                                         ToRelay, abandon   -> relay: dials, lets the SYN in
 */
import assert from "node:assert/strict";
import { Redirect } from "../../src/core/flow/redirect.ts";
import { RedirectState } from "../../src/core/flow/redirect_table.ts";
import { formatAddress } from "../../src/core/wire/address.ts";
import { ChecksumForm } from "../../src/core/wire/checksum.ts";
import * as tcp from "../../src/core/wire/tcp.ts";
import {
  RELAY,
  type Seen,
  World as EngineWorld,
  type WorldOptions,
} from "../core/engine/world.ts";
import { addressWords } from "../core/flow/packets.ts";
import {
  type ReadSegment,
  readSegment,
  RST,
  segment,
  SYN,
  tcpStart,
} from "../core/flow/segments.ts";
import { TinyTcp } from "./tiny_tcp.ts";
import { CALM, type Weather, World as Clock } from "./world.ts";

/** How long the kernel keeps the ends of a connection that it closed first. */
const TIME_WAIT_MS = 60_000;
const RETRANSMIT_MS = 300;

/** What a server does once it is connected; told by the destination's port. */
export const Server = {
  /** Says who asks and closes. */
  ClosesFirst: 1001,
  /** Reads to the end, then says who asked and how much came, then closes. */
  ReadsFirst: 1002,
  /** Says who asks, then resets. */
  Resets: 1003,
  /** Says who asks and waits for the client to end it. */
  Waits: 1004,
  /** Refuses to be connected. */
  Refuses: 1005,
  /** Does not answer the dial. */
  Silent: 1006,
} as const;

interface Connection {
  readonly tcp: TinyTcp;
  row: number;
  generation: number;
  endedAt: number;
}

interface Dial {
  readonly row: number;
  readonly generation: number;
  isAbandoned: boolean;
}

/** See the module header. */
export class RelayWorld {
  readonly engine: EngineWorld;
  readonly clock: Clock;
  readonly redirect: Redirect;
  weather: Weather = CALM;
  /** By the address and port from which the kernel sees them come. */
  readonly kernel = new Map<string, Connection>();
  dials: Dial[] = [];
  /** SYNs for a pair of ends that the kernel still held. */
  clashes = 0;
  accepted = 0;
  readonly drops = new Map<string, number>();
  /** Where clients get their packets: by address and port. */
  readonly clients = new Map<string, (packet: ReadSegment) => void>();

  constructor(seed: number, options: WorldOptions = {}) {
    this.engine = new EngineWorld({
      ...options,
      config: { tcp: "proxy", ...options.config },
    });
    this.clock = new Clock(seed);
    this.redirect = new Redirect(RELAY, this.engine.redirects);
    this.#every(1000, () => {
      this.engine.open.tick(this.#now());
      this.#obey();
    });
    this.#every(RETRANSMIT_MS, () => this.#kernelTimers());
  }

  /** Sends a client's packet over the network. */
  fromClient(peer: number, packet: Uint8Array): void {
    this.#travel(() => this.#tunnel(peer, packet));
  }

  run(ms: number): void {
    this.clock.runUntil(this.clock.now + ms);
  }

  #now(): number {
    return this.engine.now = this.clock.now;
  }

  #every(ms: number, run: () => void): void {
    this.clock.at(this.clock.now + ms, () => {
      run();
      this.#every(ms, run);
    });
  }

  #travel(arrive: () => void): void {
    const { random } = this.clock;
    const { loss, duplication, delayMs, jitterMs } = this.weather;
    const copies = random.chance(loss) ? 0 : random.chance(duplication) ? 2 : 1;
    for (let n = 0; n < copies; n++) {
      const delay = delayMs + random.unit() * jitterMs;
      this.clock.at(this.clock.now + delay, arrive);
    }
  }

  #tunnel(peer: number, packet: Uint8Array): void {
    this.#now();
    const rows = this.engine.fromTunnel(peer, packet);
    this.#obey();
    for (const row of rows) this.#carryOut(row);
  }

  #carryOut(row: Seen): void {
    switch (row.verdict) {
      case "ToHost":
        return this.#toKernel(readSegment(row.bytes));
      case "ToRelay":
        return this.#dial(row.target as number, Uint8Array.from(row.bytes));
      case "ToPeer":
        return this.#toClient(row);
      case "Drop": {
        const reason = String(row.target);
        this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1);
      }
    }
  }

  #toClient(row: Seen): void {
    const packet = readSegment(row.bytes);
    this.#travel(() =>
      this.clients.get(`${packet.to} ${packet.toPort}`)?.(packet)
    );
  }

  // The relay.

  #obey(): void {
    for (const { row, generation } of this.engine.relay.abandoned.splice(0)) {
      const isMeant = (it: { row: number; generation: number }) =>
        it.row === row && it.generation === generation;
      this.dials.filter(isMeant).forEach((dial) => dial.isAbandoned = true);
      for (const connection of this.kernel.values()) {
        if (isMeant(connection)) connection.tcp.abort();
      }
    }
  }

  #dial(row: number, syn: Uint8Array): void {
    const { redirects } = this.engine;
    const generation = redirects.generationOf(row);
    const dial = { row, generation, isAbandoned: false };
    const port = redirects.remotePort[row];
    this.dials.push(dial);
    const delay = port === Server.Silent
      ? 12_000
      : this.clock.random.unit() * 400;
    this.clock.at(this.clock.now + delay, () => {
      this.dials = this.dials.filter((one) => one !== dial);
      if (dial.isAbandoned) return;
      this.#dialed(dial, syn, port);
    });
  }

  #dialed({ row, generation }: Dial, syn: Uint8Array, port: number): void {
    const { redirects } = this.engine;
    if (port === Server.Refuses || port === Server.Silent) {
      if (!redirects.settle(row, generation, RedirectState.Refused)) return;
      if (port === Server.Silent) return;
      const answer = new Uint8Array(60);
      const length = tcp.emitReset(answer, 0, syn, 0);
      this.#toClient({ bytes: [...answer.subarray(0, length)] } as Seen);
      return;
    }
    if (!redirects.settle(row, generation, RedirectState.Open)) return;
    const at = tcpStart(syn);
    this.redirect.toRelay(syn, 0, at, row, generation, ChecksumForm.Whole);
    this.#toKernel(readSegment([...syn]));
  }

  // The kernel, and the servers behind it.

  #toKernel(packet: ReadSegment): void {
    const key = `${packet.from} ${packet.fromPort}`;
    let connection = this.kernel.get(key);
    if (packet.flags === SYN && connection?.tcp.isDone) {
      if (connection.tcp.state !== "reset") this.clashes++;
      connection = undefined;
    }
    if (connection === undefined) {
      if (packet.flags !== SYN) {
        if ((packet.flags & RST) === 0) {
          this.#fromKernel(packet, {
            flags: RST,
            seq: packet.ack,
            ack: 0,
            data: [],
          });
        }
        return;
      }
      connection = this.#accept(packet, key);
    } else connection.tcp.receive(packet);
    if (connection.tcp.isDone && connection.endedAt === 0) {
      connection.endedAt = this.clock.now;
    }
  }

  #accept(syn: ReadSegment, key: string): Connection {
    const end = new TinyTcp(
      this.clock.random.next(),
      (reply) => this.#fromKernel(syn, reply),
      syn,
    );
    const connection = { tcp: end, row: -1, generation: -1, endedAt: 0 };
    this.kernel.set(key, connection);
    end.onOpen = () => this.#serve(connection, syn);
    return connection;
  }

  #serve(connection: Connection, { from, fromPort }: ReadSegment): void {
    const { redirects } = this.engine;
    const end = connection.tcp;
    const row = this.redirect.rowOf(addressWords(from), 0, fromPort);
    if (row < 0) return end.abort();
    connection.row = row;
    connection.generation = redirects.generationOf(row);
    this.accepted++;
    const words = (column: Int32Array) => formatAddress(column, row * 4);
    const port = redirects.remotePort[row];
    const identity =
      `${words(redirects.client)} ${redirects.clientPort[row]} ` +
      `to ${words(redirects.remote)} ${port}`;
    const bytes = [...new TextEncoder().encode(identity)];
    if (port !== Server.ReadsFirst) end.write(bytes);
    if (port === Server.ClosesFirst) end.close();
    if (port === Server.Resets) {
      this.clock.at(this.clock.now + 2000, () => end.abort());
    }
    end.onData = () => {
      if (!end.hasPeerFin) return;
      if (port === Server.ReadsFirst) {
        end.write([
          ...bytes,
          ...new TextEncoder().encode(` ${end.received.length}`),
        ]);
      }
      end.close();
    };
  }

  #fromKernel(
    asked: ReadSegment,
    reply: { flags: number; seq: number; ack: number; data: readonly number[] },
  ): void {
    const packet = segment({
      from: asked.to,
      to: asked.from,
      fromPort: asked.toPort,
      toPort: asked.fromPort,
      ...reply,
    });
    // Into the device at once; the gateway reads it a moment later, in order.
    this.clock.at(this.clock.now + 0.1, () => {
      this.#now();
      for (const row of this.engine.fromHost(packet)) this.#carryOut(row);
    });
  }

  #kernelTimers(): void {
    for (const [key, connection] of this.kernel) {
      const { tcp: end } = connection;
      end.retransmit();
      if (end.isDone && connection.endedAt === 0) {
        connection.endedAt = this.clock.now;
      }
      const wait = end.state === "reset" ? 0 : TIME_WAIT_MS;
      if (
        connection.endedAt !== 0 && this.clock.now - connection.endedAt >= wait
      ) this.kernel.delete(key);
    }
  }
}

/** What a client asks of a server, and how it went. */
export interface Attempt {
  readonly port: number;
  readonly text: string;
  readonly outcome: "ended" | "reset" | "timed out";
}

/** A client that makes one connection after the other from the same port. */
export class SimClient {
  readonly attempts: Attempt[] = [];
  readonly #world: RelayWorld;
  #current: TinyTcp | undefined;
  #stopsAt = 0;

  constructor(
    world: RelayWorld,
    readonly ends: {
      readonly peer: number;
      readonly from: string;
      readonly fromPort: number;
      readonly to: string;
    },
    readonly plan: readonly number[],
  ) {
    this.#world = world;
    world.clients.set(
      `${ends.from} ${ends.fromPort}`,
      (packet) => this.#receive(packet),
    );
    this.#next();
  }

  get isDone(): boolean {
    return this.attempts.length === this.plan.length;
  }

  /** What the server should have said. */
  expected(port: number): string {
    const { from, fromPort, to } = this.ends;
    const text = (address: string) => formatAddress(addressWords(address));
    const identity = `${text(from)} ${fromPort} to ${text(to)} ${port}`;
    return port === Server.ReadsFirst ? `${identity} 1200` : identity;
  }

  #next(): void {
    if (this.isDone) return;
    const { clock } = this.#world;
    const port = this.plan[this.attempts.length];
    const end = new TinyTcp(
      clock.random.next(),
      (out) => this.#send(port, out),
    );
    this.#current = end;
    this.#stopsAt = clock.now + 10_000;
    end.onOpen = () => {
      if (port !== Server.ReadsFirst) return;
      end.write(new Array(1200).fill(1));
      end.close();
    };
    end.onData = () => {
      const { length } = new TextEncoder().encode(this.expected(port));
      if (port === Server.Waits && end.received.length === length) end.close();
      if (end.hasPeerFin) end.close();
    };
    clock.at(clock.now + RETRANSMIT_MS, () => this.#timer(end));
  }

  #timer(end: TinyTcp): void {
    const { clock } = this.#world;
    if (end !== this.#current) return;
    end.retransmit();
    if (clock.now >= this.#stopsAt) return this.#end("timed out");
    this.#look();
    clock.at(clock.now + RETRANSMIT_MS, () => this.#timer(end));
  }

  #receive(packet: ReadSegment): void {
    const end = this.#current;
    const port = this.plan[this.attempts.length];
    if (end === undefined || packet.fromPort !== port) {
      // As a host without such a connection.
      if ((packet.flags & RST) === 0) {
        const { flags, ack } = packet;
        this.#send(packet.fromPort, { flags: RST, seq: ack, ack: 0, data: [] });
        assert.ok(flags !== SYN);
      }
      return;
    }
    end.receive(packet);
    this.#look();
  }

  #look(): void {
    const end = this.#current;
    if (end?.isDone) this.#end(end.state === "reset" ? "reset" : "ended");
  }

  #end(outcome: Attempt["outcome"]): void {
    const end = this.#current!;
    const port = this.plan[this.attempts.length];
    const text = new TextDecoder().decode(Uint8Array.from(end.received));
    this.attempts.push({ port, text, outcome });
    this.#current = undefined;
    // At once: the pair is used again as soon as its connection is over.
    this.#next();
  }

  #send(
    port: number,
    out: { flags: number; seq: number; ack: number; data: readonly number[] },
  ): void {
    const { peer, from, fromPort, to } = this.ends;
    this.#world.fromClient(
      peer,
      segment({ from, to, fromPort, toPort: port, ...out }),
    );
  }
}
