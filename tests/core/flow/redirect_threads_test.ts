/** One redirect table in three threads, its rows used again without any rest. */
import assert from "node:assert/strict";
import {
  RedirectState,
  RedirectTable,
  type RedirectTableOptions,
} from "../../../src/core/flow/redirect_table.ts";
import { Random } from "../wireguard/hex.ts";
import type { ThreadResult, ThreadTask } from "./redirect_threads.ts";

/** Threads of the given roles over one table. */
async function withThreads(
  size: RedirectTableOptions,
  roles: readonly ThreadTask["role"][],
  run: (table: RedirectTable) => void,
): Promise<ThreadResult[]> {
  const buffer = new SharedArrayBuffer(RedirectTable.byteLength(size));
  const control = new Int32Array(new SharedArrayBuffer(8));
  const url = new URL("./redirect_threads.ts", import.meta.url);
  const threads = roles.map((role) => {
    const worker = new Worker(url, { type: "module" });
    const result = new Promise<ThreadResult>((resolve) => {
      worker.onmessage = (event) => resolve(event.data);
    });
    const task: ThreadTask = { role, buffer, size, control };
    worker.postMessage(task);
    return { worker, result };
  });
  for (;;) {
    const running = Atomics.load(control, 1);
    if (running === roles.length) break;
    await Atomics.waitAsync(control, 1, running).value;
  }
  run(new RedirectTable(buffer, size));
  Atomics.store(control, 0, 1);
  const results = await Promise.all(threads.map(({ result }) => result));
  for (const { worker } of threads) worker.terminate();
  return results;
}

/** Begins a connection all of whose parts say the same number. */
function begin(table: RedirectTable, part: number): number {
  const row = table.take();
  const words = Int32Array.of(0, 0, 0xffff, part);
  table.begin(row, words, part, words, part, 0, part, 0);
  return row;
}

function end(table: RedirectTable, row: number): void {
  table.forget(row, 0);
  table.rested(1);
  table.release();
}

Deno.test("a packet of the relay is never mixed from two connections of a row", async () => {
  const size = { capacity: 1, peers: 1, generations: 64 };
  const [seal] = await withThreads(size, ["seal"], (table) => {
    for (let n = 0; n < 300_000; n++) {
      const row = begin(table, n & 255);
      table.settle(row, table.generationOf(row), RedirectState.Open);
      for (let spin = n & 7; spin > 0; spin--) table.stateOf(row);
      end(table, row);
    }
  });
  assert.ok(seal.done > 0, "packets passed");
  assert.equal(seal.mixed, 0, `${seal.mixed} of ${seal.done} were mixed`);
});

Deno.test("a dial that is settled while it is given up counts once", async () => {
  const size = { capacity: 3, peers: 1, generations: 64 };
  const count = 60_000;
  const random = new Random(8);
  let dialing = () => -1;
  const [relay] = await withThreads(size, ["relay"], (table) => {
    dialing = () => table.dialingOf(0);
    let settled = 0;
    for (let n = 0; n < count; n++) {
      const row = begin(table, n & 255);
      // From given up at once to open for a while.
      for (let spin = random.below(200); spin > 0; spin--) table.stateOf(row);
      if (table.stateOf(row) === RedirectState.Open) settled++;
      end(table, row);
    }
    assert.ok(settled < count);
    assert.deepEqual([table.size, table.resting], [0, 0]);
  });
  assert.equal(dialing(), 0);
  assert.ok(relay.done > 0 && relay.done <= count, `${relay.done} settled`);
});
