import assert from "node:assert/strict";
import fc from "fast-check";
import { Batch } from "../../../../src/core/columns/batch.ts";
import { Verdict } from "../../../../src/core/columns/verdict.ts";
import { OutsideModes } from "../../../../src/io/os/shared/outside_modes.ts";
import {
  type OutsideMessages,
  OutsideSender,
  type OutsideTrains,
  portOf,
} from "../../../../src/io/os/shared/outside_sender.ts";
import type { OutsideShared } from "../../../../src/io/ports.ts";
import { BATCH, bytesPerPacket } from "../../../core/engine/heap.ts";
import { RecordingTrains, type Sent } from "./recording_trains.ts";

const A = 4, B = 8, C = 4 * 3000;
const RAW4 = 0x4000_0000, RAW6 = 0x4000_0001;
const V6 = [0x20010db8, 0, 0, 1];

const shared: OutsideShared = {
  poller: -1,
  wake: -1,
  echo: "raw",
  raw4: 400,
  raw6: 600,
  binding: new SharedArrayBuffer(16),
  capacity: 64,
  retired: new SharedArrayBuffer(1024),
  modes: new SharedArrayBuffer(OutsideModes.byteLength(4096)),
};

interface Row {
  readonly remote?: number | readonly number[];
  readonly port?: number;
  readonly mode?: number;
  readonly verdict?: Verdict;
}

function emptyBatch(capacity = 2048): Batch {
  const bytes = new Uint8Array(64);
  const sizes = { spareStart: 0, spareEnd: 64, headroom: 0, tailroom: 0 };
  return new Batch({ bytes, capacity, ...sizes });
}

function addRow(batch: Batch, options: Row = {}): number {
  const { remote = 1, port = 9, mode = 64 } = options;
  const row = batch.push(batch.count, 10, -1);
  batch.verdict[row] = options.verdict ?? Verdict.ToUdp;
  const words = typeof remote === "number" ? [0, 0, 0xffff, remote] : remote;
  batch.remote.set(words, row * 4);
  batch.remotePort[row] = port;
  batch.hopLimit[row] = mode;
  return row;
}

class World {
  readonly batch = emptyBatch();
  readonly sender: OutsideSender;
  trains!: RecordingTrains;

  constructor() {
    const modes = new SharedArrayBuffer(shared.modes.byteLength);
    this.sender = new OutsideSender(
      { ...shared, modes },
      (messages) => this.trains = new RecordingTrains(messages),
    );
  }

  send(handle: number, options?: Row): number {
    const row = addRow(this.batch, options);
    this.sender.send(handle, this.batch, row);
    return row;
  }

  /** What left, as «socket mode: rows rows», a word for each group. */
  flush(): string[] {
    this.sender.flush();
    return this.trains.sent.splice(0).map(shown);
  }
}

const shown = ({ socket, mode, groups }: Sent) =>
  `${socket} ${mode}: ${groups.map((rows) => rows.join()).join(" ")}`;

Deno.test("rows of a socket leave together and in order, those to one remote as a group", () => {
  const world = new World();
  world.send(A);
  world.send(B);
  world.send(A);
  world.send(A, { remote: 2 });
  world.send(C);
  world.send(A, { remote: 2, port: 10 });
  world.send(A, { remote: 2, port: 10 });
  assert.deepEqual(world.flush(), [
    "4 64: 0,2 3 5,6",
    "8 64: 1",
    "12000 64: 4",
  ]);
  assert.deepEqual(world.flush(), []);
  world.send(A);
  assert.deepEqual(world.flush(), ["4 64: 7"]);
});

Deno.test("a socket gets a mode where it differs, what was to leave in the old one first", () => {
  const world = new World();
  const modes = [64, 64, 1, 1, 64];
  for (const mode of modes) world.send(A, { mode });
  world.send(B, { remote: V6, mode: 1 });
  assert.deepEqual(world.flush(), [
    "4 64: 0,1",
    "4 1: 2,3",
    "4 64: 4",
    "8 1: 5",
  ]);
  assert.deepEqual(world.trains.modes, ["4 4 64", "4 4 1", "4 4 64", "8 6 1"]);
  world.send(A);
  world.send(B, { remote: V6, mode: 1 });
  world.flush();
  assert.equal(world.trains.modes.length, 4, "they have them already");
});

Deno.test("echo requests leave by the raw sockets, each with its own head and no port", () => {
  const world = new World();
  const rows = [RAW4, RAW6, RAW4].map((handle) =>
    world.send(handle, {
      verdict: Verdict.ToEcho,
      remote: handle === RAW6 ? V6 : 1,
    })
  );
  assert.deepEqual(world.flush(), ["400 64: 0 2", "600 64: 1"]);
  assert.deepEqual(world.trains.modes, ["400 4 64", "600 6 64"]);
  assert.equal(portOf(world.batch, rows[0]), 0);
  assert.equal(portOf(world.batch, world.send(A)), 9);
});

Deno.test("a full queue, and rows of another batch, send what waits", () => {
  const world = new World();
  for (let i = 0; i < 1024; i++) world.send(A);
  assert.equal(world.trains.sent.length, 0);
  world.send(A);
  assert.equal(world.trains.sent.length, 1);
  const other = emptyBatch(1);
  world.sender.send(A, other, addRow(other));
  assert.equal(world.trains.sent.length, 2);
  assert.deepEqual(world.flush().slice(1), ["4 64: 1024", "4 64: 0"]);
});

Deno.test("rows that fail are told by the next flush, whenever they left", () => {
  const world = new World();
  const { sender } = world;
  const row = world.send(A);
  world.send(B);
  const late = world.send(A);
  world.trains.refused.set(row, 11).set(late, 90);
  sender.sendQueued();
  assert.equal(sender.flush(), 2);
  assert.deepEqual([...sender.failed.row.subarray(0, 2)], [row, late]);
  assert.deepEqual([...sender.failed.errno.subarray(0, 2)], [11, 90]);
  assert.equal(sender.flush(), 0);
  world.send(A);
  assert.equal(sender.flush(), 0);
});

Deno.test("what leaves is what a table of lists says", () => {
  const row = fc.record({
    handle: fc.constantFrom(A, B, C, RAW4),
    remote: fc.nat(2),
    mode: fc.constantFrom(0, 64, 511),
  });
  fc.assert(fc.property(fc.array(row, { maxLength: 60 }), (rows) => {
    const world = new World();
    const lists = new Map<number, number[]>();
    for (const { handle, ...options } of rows) {
      const socket = handle === RAW4 ? shared.raw4 : handle;
      const list = lists.get(socket) ?? [];
      lists.set(socket, [...list, world.send(handle, options)]);
    }
    world.sender.flush();
    const left = new Map<number, number[]>();
    for (const { socket, mode, groups } of world.trains.sent) {
      left.set(socket, [...left.get(socket) ?? [], ...groups.flat()]);
      for (const group of groups) {
        assert.ok(group.every((row) => rows[row].mode === mode));
        assert.ok(
          group.every((row) => rows[row].remote === rows[group[0]].remote),
        );
      }
    }
    assert.deepEqual([...left], [...lists]);
  }));
});

Deno.test("queueing and sending allocate nothing", () => {
  let sent = 0;
  const idle = ({ messages }: OutsideMessages): OutsideTrains => ({
    numberOf: (socket) => socket,
    modeOf: (batch, row) => batch.dontFragment[row],
    setMode: () => {},
    isAlike: () => true,
    send() {
      sent += messages.count;
      messages.count = 0;
    },
  });
  const sender = new OutsideSender(shared, idle);
  const batch = emptyBatch(BATCH);
  for (let i = 0; i < BATCH; i++) addRow(batch, { remote: i & 1 });
  const cost = bytesPerPacket(() => {
    for (let i = 0; i < BATCH; i++) sender.send(4 + (i & 3), batch, i);
    sender.flush();
  });
  assert.ok(sent > 0);
  assert.ok(cost < 1, `${cost} bytes a row`);
});
