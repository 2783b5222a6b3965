import assert from "node:assert/strict";
import { Batch } from "../../../../src/core/columns/batch.ts";
import { AttachedOutside } from "../../../../src/io/os/shared/attached_outside.ts";
import { OutsideModes } from "../../../../src/io/os/shared/outside_modes.ts";
import { OutsideRetired } from "../../../../src/io/os/shared/outside_retired.ts";
import { OutsideSender } from "../../../../src/io/os/shared/outside_sender.ts";
import type { Area, OutsideShared } from "../../../../src/io/ports.ts";
import { RecordingTrains } from "./recording_trains.ts";

const RAW4 = 0x4000_0000;
const CAPACITY = 8;

/** A worker whose parts write down what they are asked for. */
class World {
  readonly done: string[] = [];
  readonly shared: OutsideShared = {
    poller: -1,
    wake: -1,
    echo: "raw",
    raw4: 400,
    raw6: -1,
    binding: new SharedArrayBuffer(16),
    capacity: CAPACITY,
    retired: new SharedArrayBuffer(OutsideRetired.byteLength(CAPACITY)),
    modes: new SharedArrayBuffer(OutsideModes.byteLength(CAPACITY)),
  };
  trains!: RecordingTrains;

  attach(receiveArea: Area): AttachedOutside {
    const { shared, done } = this;
    const retired = new OutsideRetired(shared.retired, CAPACITY);
    const bytes = new Uint8Array(64);
    return new AttachedOutside({ shared, bytes, receiveArea, headroom: 0 }, {
      sockets: {
        open: (...what) => done.push(`open ${what}`) + 7,
        port: (handle) => handle + 1000,
        retire: (row, handle) => {
          done.push(`retire after ${this.trains.sent.length} sends`);
          retired.push(row, handle);
        },
        [Symbol.dispose]: () => done.push("sockets end"),
      },
      sender: new OutsideSender(
        shared,
        (messages) => this.trains = new RecordingTrains(messages),
      ),
      receiver: {
        receive: (row, socket) => done.push(`receive ${row} ${socket}`) && 3,
        receiveEcho: () => done.push("receive echo") && 2,
      },
      errors: {
        read: (handle, report) => {
          report.natRow = handle;
          return handle > 0;
        },
      },
      pathMtu: { towards: (_batch, row) => 1000 + row },
      close: (socket) => done.push(`close ${socket}`),
    });
  }
}

const SENDS = { start: 0, end: 0 };
const RECEIVES = { start: 0, end: 64 };

function oneRow(): Batch {
  const bytes = new Uint8Array(64);
  const sizes = { spareStart: 0, spareEnd: 64, headroom: 0, tailroom: 0 };
  const batch = new Batch({ bytes, capacity: 4, ...sizes });
  batch.push(0, 1, -1);
  return batch;
}

Deno.test("each call is its part's", () => {
  const world = new World();
  const outside = world.attach(RECEIVES);
  const batch = oneRow();
  assert.equal(outside.open(17, 4, 53, 2), 8);
  assert.equal(outside.port(5), 1005);
  assert.equal(outside.receive(2, 44, batch), 3);
  assert.equal(outside.receive(-1, -1, batch), 2);
  assert.equal(outside.pathMtu(batch, 3), 1003);
  assert.equal(outside.receiveError(6, batch, outside.report), true);
  assert.equal(outside.report.natRow, 6);
  assert.equal(outside.receiveError(-1, batch, outside.report), false);
  assert.deepEqual(world.done, [
    "open 17,4,53,2",
    "receive 2 44",
    "receive echo",
  ]);
});

Deno.test("what is queued leaves before its socket is given up, and is told when flushed", () => {
  const world = new World();
  const outside = world.attach(SENDS);
  world.trains.refused.set(0, 90);
  outside.send(44, oneRow(), 0);
  outside.retire(2, 44);
  assert.deepEqual(world.done, ["retire after 1 sends"]);
  assert.equal(outside.flush(), 1);
  assert.deepEqual(
    [outside.failedCount, outside.failedRow[0], outside.failedErrno[0]],
    [1, 0, 90],
  );
});

Deno.test("the receiving side closes what was retired and frees its rows; raw sockets stay", () => {
  const world = new World();
  const sending = world.attach(SENDS);
  for (const [row, handle] of [[2, 44], [3, RAW4], [4, 48]]) {
    sending.retire(row, handle);
  }
  world.done.length = 0;
  const nat = { markFree: (row: number) => world.done.push(`free ${row}`) };
  world.attach(RECEIVES).closeRetired(nat);
  assert.deepEqual(world.done, [
    "close 44",
    "free 2",
    "free 3",
    "close 48",
    "free 4",
  ]);
});

Deno.test("at the end each side closes what it still has", () => {
  const world = new World();
  const sending = world.attach(SENDS);
  const receiving = world.attach(RECEIVES);
  sending.retire(2, 44);
  world.done.length = 0;
  sending[Symbol.dispose]();
  assert.deepEqual(world.done.splice(0), ["sockets end"]);
  receiving[Symbol.dispose]();
  assert.deepEqual(world.done, ["close 44", "sockets end"]);
});
