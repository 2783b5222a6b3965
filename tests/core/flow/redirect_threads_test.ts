/** One redirect table in three threads, its rows used again without any rest. */
import assert from "node:assert/strict";
import { RedirectTable } from "../../../src/core/flow/redirect_table.ts";
import { Random } from "../wireguard/hex.ts";
import type { ThreadResult, ThreadTask } from "./redirect_threads.ts";

const SIZE = { capacity: 3, peers: 1, generations: 64 };
const CONNECTIONS = 60_000;

Deno.test("threads never mix two connections of a row, and count each once", async () => {
  const buffer = new SharedArrayBuffer(RedirectTable.byteLength(SIZE));
  const table = new RedirectTable(buffer, SIZE);
  const control = new Int32Array(new SharedArrayBuffer(8));
  const url = new URL("./redirect_threads.ts", import.meta.url);
  const threads = (["relay", "seal"] as const).map((role) => {
    const worker = new Worker(url, { type: "module" });
    const result = new Promise<ThreadResult>((resolve) => {
      worker.onmessage = (event) => resolve(event.data);
    });
    const task: ThreadTask = { role, buffer, size: SIZE, control };
    worker.postMessage(task);
    return { worker, result };
  });
  while (Atomics.load(control, 1) < 2) {
    await Atomics.waitAsync(control, 1, Atomics.load(control, 1)).value;
  }

  const random = new Random(8);
  for (let n = 0; n < CONNECTIONS; n++) {
    const part = n & 255;
    const row = table.take();
    const words = Int32Array.of(0, 0, 0xffff, part);
    table.begin(row, words, part, words, part, 0, n, 0);
    // From given up at once to open for a while.
    for (let spin = random.below(200); spin > 0; spin--) table.stateOf(row);
    if (random.chance(0.5)) table.close(row, 0);
    table.forget(row, 0);
    table.rested(1);
    table.release();
  }
  assert.deepEqual([table.size, table.resting, table.dialingOf(0)], [0, 0, 0]);
  Atomics.store(control, 0, 1);
  const [relay, seal] = await Promise.all(threads.map(({ result }) => result));
  for (const { worker } of threads) worker.terminate();
  assert.ok(
    relay.done > 0 && relay.done <= CONNECTIONS,
    `${relay.done} settled`,
  );
  assert.ok(seal.done > 0, "packets passed");
  assert.equal(
    seal.mixed,
    0,
    `${seal.mixed} of ${seal.done} packets were mixed`,
  );
});
