/** Several workers a direction, in real threads: the order is kept, nothing is lost. */
import assert from "node:assert/strict";
import { Direction } from "../../src/core/columns/counters.ts";
import { parsePrefix } from "../../src/core/wire/address.ts";
import { transportCounter } from "../../src/core/wireguard/messages.ts";
import { SessionState } from "../../src/core/wireguard/session_table.ts";
import {
  attachTables,
  createSharedState,
} from "../../src/datapath/shared_state.ts";
import { Turnstile } from "../../src/datapath/turnstile.ts";
import { openPlatform } from "../../src/io/platform.ts";
import { waitFor } from "../support/wait.ts";
import {
  Cell,
  DESTINATION,
  packetLength,
  SOURCE,
  WIRE_SLOT,
  type WorkersSetup,
} from "./workers_program.ts";

const WORKERS = 4;
const TOTAL = 20_000;

/** Both ends of one tunnel over one set of tables: peer 0 to seal for, peer 1 to open from. */
class Tunnel implements Disposable {
  readonly cells = new Int32Array(new SharedArrayBuffer(64));
  readonly wire: SharedArrayBuffer;
  readonly shared = createSharedState({
    peers: 2,
    sessions: 4,
    allowedIps: { nodes: 16 },
    nat: undefined,
    ringBytes: 1 << 16,
  });
  readonly tables = attachTables(this.shared);
  readonly #platform = openPlatform();
  readonly #resources = new DisposableStack();

  constructor(readonly total: number) {
    const { peers, sessions, allowedIps } = this.tables;
    this.#resources.use(this.#platform);
    this.wire = new SharedArrayBuffer(total * WIRE_SLOT);
    const now = this.#platform.openClock()();
    const key = crypto.getRandomValues(new Uint8Array(32));
    const slots = [0, 1].map((peer) => {
      peers.add(peer);
      peers.setEndpoint(peer, new Int32Array([0, 0, 0xffff, 1]), 0, 1);
      return sessions.reserve(peer, 0x1234_5600);
    });
    slots.forEach((slot, peer) => {
      sessions.establish(slot, SessionState.Confirmed, {
        remoteIndex: sessions.receiverIndex[slots[1 - peer]],
        initiator: true,
        now,
        sendKey: key,
        receiveKey: key,
      });
      peers.setSessions(peer, slot, -1, -1);
    });
    for (const [peer, address] of [DESTINATION, SOURCE].entries()) {
      allowedIps.insert(parsePrefix(`${address}/32`)!.words, 128, peer);
    }
  }

  /** Starts the workers of one direction. */
  start(role: WorkersSetup["role"], stopAt = -1): Running {
    const poller = this.#resources.use(this.#platform.openPoller());
    const wake = this.#resources.use(this.#platform.openWake());
    const input = this.#resources.use(this.#platform.openWake());
    const setup: WorkersSetup = {
      role,
      shared: this.shared,
      turnstile: new SharedArrayBuffer(Turnstile.byteLength),
      poller: poller.descriptor,
      wake: wake.descriptor,
      input: input.descriptor,
      cells: this.cells.buffer as SharedArrayBuffer,
      wire: this.wire,
      total: this.total,
      stopAt,
    };
    const program = import.meta.resolve("./workers_program.ts");
    const ended = Promise.all(Array.from({ length: WORKERS }, () => {
      const worker = new Worker(program, { type: "module" });
      const end = Promise.withResolvers<void>();
      worker.onmessage = () => {
        worker.terminate();
        end.resolve();
      };
      worker.onerror = (event) => {
        event.preventDefault();
        end.reject(new Error(event.message));
      };
      worker.postMessage(setup);
      return end.promise;
    }));
    return {
      ended,
      turnstile: new Int32Array(setup.turnstile),
      begin: () => input.signal(),
      stop: () => {
        Atomics.store(this.tables.stop, 0, 1);
        wake.signal();
        return ended;
      },
    };
  }

  /** Lets the workers of another direction start. */
  restart(): void {
    Atomics.store(this.tables.stop, 0, 0);
  }

  reached(cell: number, count: number): Promise<unknown> {
    return waitFor(
      `cell ${cell} to reach ${count}`,
      () => Atomics.load(this.cells, cell) >= count,
      { timeoutMs: 240_000 },
    );
  }

  /** Asserts that messages 0 .. count-1 lie on the wire in the order of their counters. */
  assertWire(count: number): void {
    assert.equal(this.cells[Cell.Wired], count);
    const bytes = new Uint8Array(this.wire);
    for (let i = 0; i < count; i++) {
      assert.equal(transportCounter(bytes, i * WIRE_SLOT + 4), i);
    }
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

interface Running {
  readonly ended: Promise<unknown>;
  readonly turnstile: Int32Array;
  /** Makes the input readable. */
  begin(): void;
  stop(): Promise<unknown>;
}

Deno.test("workers: four seal and four open, and every packet keeps its place", async () => {
  using tunnel = new Tunnel(TOTAL);
  const { tables, cells } = tunnel;
  const seal = tunnel.start("seal");
  seal.begin();
  await tunnel.reached(Cell.Wired, TOTAL);
  await seal.stop();
  tunnel.assertWire(TOTAL);

  tunnel.restart();
  const open = tunnel.start("open");
  open.begin();
  await tunnel.reached(Cell.Sunk, TOTAL);
  await open.stop();
  assert.equal(cells[Cell.Wrong], 0);

  // One writer at a time: no count is lost either.
  const bytes = Array.from({ length: TOTAL }, (_, n) => packetLength(n))
    .reduce((sum, length) => sum + length, 0);
  const [, opened, sealed] = tables.counters;
  for (
    const [counters, direction] of [
      [sealed, Direction.FromHost],
      [sealed, Direction.ToTunnel],
      [opened, Direction.FromTunnel],
      [opened, Direction.ToHost],
    ] as const
  ) {
    assert.equal(counters.packets(direction), TOTAL);
  }
  assert.equal(sealed.bytes(Direction.ToTunnel), bytes);
  assert.equal(opened.bytes(Direction.ToHost), bytes);
  assert.deepEqual(opened.snapshot().drops, {});
  assert.equal(tables.peers.traffic(0).sentPackets, TOTAL);
  assert.equal(tables.peers.traffic(1).receivedPackets, TOTAL);
});

Deno.test("workers: what was taken when the end comes is still sent, in order", async () => {
  for (const stopAt of [1, 100, 3_001, 7_777]) {
    using tunnel = new Tunnel(TOTAL);
    const seal = tunnel.start("seal", stopAt);
    seal.begin();
    await seal.ended;
    const taken = tunnel.cells[Cell.Taken];
    assert.ok(taken >= stopAt && taken < stopAt + WORKERS * 37, `${taken}`);
    tunnel.assertWire(taken);
  }
});

Deno.test("workers: a stop ends those that wait for input and for each other", async () => {
  using tunnel = new Tunnel(1);
  for (const role of ["seal", "open"] as const) {
    tunnel.restart();
    const running = tunnel.start(role);
    // 2: somebody sleeps until the input is free, so somebody else has it.
    await waitFor(
      "a worker to wait",
      () => Atomics.load(running.turnstile, 0) === 2,
    );
    await running.stop();
    assert.equal(running.turnstile[0], 0);
  }
});
