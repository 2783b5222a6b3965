/**
 * One end of a tunnel as its two workers have it, over fake ports: arenas,
 * kernels, tables, and a control thread that is only a ring to read.
 */
import assert from "node:assert/strict";
import { Batch } from "../../src/core/columns/batch.ts";
import type { Counters } from "../../src/core/columns/counters.ts";
import type { Ring } from "../../src/core/columns/ring.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { parseEndpoint, parsePrefix } from "../../src/core/wire/address.ts";
import {
  type MessageFormat,
  plainFormat,
} from "../../src/core/wireguard/classify.ts";
import { SessionState } from "../../src/core/wireguard/session_table.ts";
import { ArenaPlan } from "../../src/datapath/arena.ts";
import { ControlLink } from "../../src/datapath/control_link.ts";
import { WasmAead } from "../../src/datapath/crypto/wasm_aead.ts";
import {
  Dispatcher,
  type OutsideSender,
} from "../../src/datapath/dispatcher.ts";
import { instantiateKernels } from "../../src/datapath/kernels/kernels.ts";
import { Opener } from "../../src/datapath/opener.ts";
import { RandomPool } from "../../src/datapath/random_pool.ts";
import {
  SEAL_TAILROOM,
  Sealer,
  sealHeadroom,
} from "../../src/datapath/sealer.ts";
import {
  attachTables,
  createSharedState,
  type SharedTables,
  Thread,
} from "../../src/datapath/shared_state.ts";
import type { Area } from "../../src/io/ports.ts";
import { Random } from "../core/wireguard/hex.ts";
import {
  type Datagram,
  FakeOutside,
  FakeTun,
  FakeTunnelSocket,
} from "./fakes.ts";

export const REJECT_AFTER_MS = 180_000;
export const START = 1_000_000;
export const ROWS = 512;

/** How an end differs from a plain one. */
export interface EndOptions {
  readonly format?: MessageFormat;
  readonly mtu?: number;
  readonly ringBytes?: number;
  readonly trace?: boolean;
  /** Bytes for what stages append. */
  readonly spare?: number;
}

/** A message to the control thread. */
export interface Told {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly bytes: Uint8Array;
}

/** One worker's parts. */
export class TestWorker {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly batch: Batch;
  readonly socket: FakeTunnelSocket;
  readonly tun: FakeTun;
  readonly outside: FakeOutside;
  readonly aead: WasmAead;
  readonly link: ControlLink;
  readonly sealer: Sealer;
  readonly opener: Opener;
  readonly counters: Counters;
  readonly ring: Ring;
  readonly spare: Area;

  constructor(
    readonly tables: SharedTables,
    readonly role: "open" | "seal",
    options: EndOptions,
  ) {
    const { format = plainFormat(), mtu = 1420, trace = false } = options;
    const { sessions, peers } = tables;
    const kernels = instantiateKernels({ arenaBytes: 6 << 20 });
    const { bytes, firstFree } = kernels;
    const plan = new ArenaPlan(firstFree, bytes.length);
    const headroom = sealHeadroom(format);
    this.bytes = bytes;
    this.spare = plan.take(options.spare ?? 1 << 20);
    this.batch = new Batch({
      bytes,
      capacity: ROWS,
      spareStart: this.spare.start,
      spareEnd: this.spare.end,
      headroom,
      tailroom: SEAL_TAILROOM,
    });
    this.socket = new FakeTunnelSocket(bytes, plan.take(1 << 20));
    const room = { headroom, tailroom: SEAL_TAILROOM };
    this.tun = new FakeTun(bytes, plan.take(1 << 20), room);
    this.outside = new FakeOutside(bytes, plan.take(1 << 20));
    this.aead = new WasmAead(kernels);
    const thread = role === "open" ? Thread.OpenPump : Thread.SealPump;
    this.counters = tables.counters[thread];
    this.ring = tables.rings[thread];
    this.link = new ControlLink(this.ring, peers, tables.bell, trace);
    const shared = { sessions, peers, format, aead: this.aead };
    const rejectAfterMs = REJECT_AFTER_MS;
    this.sealer = new Sealer({
      ...shared,
      bytes,
      socket: this.socket,
      random: new RandomPool(),
      writer: thread,
      mtu,
      rejectAfterMs,
      rows: ROWS,
    });
    this.opener = new Opener({
      ...shared,
      link: this.link,
      rejectAfterMs,
      rows: ROWS,
    });
  }

  /** What the worker told the control thread since the last call. */
  told(): Told[] {
    const all: Told[] = [];
    this.ring.read((kind, a, b, bytes, at, length) =>
      all.push({ kind, a, b, bytes: bytes.slice(at, at + length) })
    );
    return all;
  }

  dispatcher(
    options: { tun?: "none"; outside?: OutsideSender } = {},
  ): Dispatcher {
    return new Dispatcher({
      sealer: this.sealer,
      socket: this.socket,
      link: this.link,
      counters: this.counters,
      tun: options.tun === "none" ? undefined : this.tun,
      outside: options.outside,
      rows: this.role === "open" ? "packed" : "sealed",
    });
  }
}

/** See the module header. */
export class TestEnd {
  readonly tables: SharedTables;
  readonly open: TestWorker;
  readonly seal: TestWorker;
  readonly random: Random;
  now = START;

  constructor(seed: number, options: EndOptions = {}) {
    this.random = new Random(seed);
    this.tables = attachTables(createSharedState({
      peers: 8,
      sessions: 32,
      allowedIps: { nodes: 128 },
      nat: { capacity: 64, peers: 8, remotes: 64 },
      ringBytes: options.ringBytes ?? 1 << 16,
    }));
    this.open = new TestWorker(this.tables, "open", options);
    this.seal = new TestWorker(this.tables, "seal", options);
  }

  /** Adds a peer; it has prefixes and, where given, an endpoint. */
  addPeer(peer: number, prefixes: readonly string[], endpoint?: string): void {
    const { peers, allowedIps } = this.tables;
    peers.add(peer);
    for (const text of prefixes) {
      const { words, family, length } = parsePrefix(text)!;
      allowedIps.insert(words, family === 4 ? 96 + length : length, peer);
    }
    if (endpoint !== undefined) {
      const { words, port } = parseEndpoint(endpoint)!;
      peers.setEndpoint(peer, words, 0, port);
    }
  }

  /** Opens what arrived, as the open pump does before the engine. */
  receive(...datagrams: readonly Datagram[]): Batch {
    const { open } = this;
    open.batch.clear();
    open.socket.inbox.push(...datagrams);
    open.socket.receive(open.batch);
    open.opener.decrypt(open.batch, this.now);
    open.opener.admit(open.batch, this.now);
    return open.batch;
  }

  /** Seals packets for a peer, and gives the datagrams. */
  sealFor(peer: number, ...packets: readonly Uint8Array[]): Datagram[] {
    const { seal } = this;
    const { batch, socket, sealer } = seal;
    batch.clear();
    seal.tun.inbox.push(packets);
    seal.tun.read(batch);
    for (let row = 0; row < batch.count; row++) {
      batch.decide(row, Verdict.ToPeer, peer);
    }
    sealer.reserve(batch, this.now);
    sealer.encrypt(batch);
    for (let row = 0; row < batch.count; row++) {
      assert.equal(sealer.send(batch, row, this.now, seal.link), 0);
    }
    assert.equal(socket.flush(), 0);
    return socket.sent.splice(0);
  }
}

/** The slots of a session between two ends. */
export interface Session {
  readonly slotA: number;
  readonly slotB: number;
}

/**
 * Makes a session between peer `ofA` of A and peer `ofB` of B, A the initiator.
 * B's side waits for its first packet where `confirmed` is false.
 */
export function connect(
  [a, ofA]: readonly [TestEnd, number],
  [b, ofB]: readonly [TestEnd, number],
  confirmed = true,
): Session {
  const first = a.random.bytes(32), second = a.random.bytes(32);
  const slotA = a.tables.sessions.reserve(ofA, a.random.next());
  const slotB = b.tables.sessions.reserve(ofB, b.random.next());
  a.tables.sessions.establish(slotA, SessionState.Confirmed, {
    remoteIndex: b.tables.sessions.receiverIndex[slotB] >>> 0,
    initiator: true,
    now: a.now,
    sendKey: first,
    receiveKey: second,
  });
  b.tables.sessions.establish(
    slotB,
    confirmed ? SessionState.Confirmed : SessionState.Unconfirmed,
    {
      remoteIndex: a.tables.sessions.receiverIndex[slotA] >>> 0,
      initiator: false,
      now: b.now,
      sendKey: second,
      receiveKey: first,
    },
  );
  a.tables.peers.setSessions(ofA, slotA, -1, -1);
  const [current, next] = confirmed ? [slotB, -1] : [-1, slotB];
  b.tables.peers.setSessions(ofB, current, -1, next);
  return { slotA, slotB };
}

/** The same datagrams as from another place. */
export function from(
  datagrams: readonly Datagram[],
  endpoint: string,
): Datagram[] {
  const { words, port } = parseEndpoint(endpoint)!;
  return datagrams.map(({ bytes }) => ({
    bytes: bytes.slice(),
    words: Int32Array.from(words),
    port,
  }));
}
