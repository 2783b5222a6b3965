/** The loops that drive pumps, with pumps and a poll set that follow a script. */
import assert from "node:assert/strict";
import {
  type LoopOptions,
  type Pump,
  runInTurns,
  runPumps,
} from "../../src/datapath/pump_loop.ts";
import { Turnstile } from "../../src/datapath/turnstile.ts";
import type { Poller } from "../../src/io/ports.ts";

/** A pump that has so many batches after each notice, and tells what it does. */
class ScriptedPump implements Pump {
  deadline = Infinity;
  alone = false;
  #left = 0;

  constructor(
    readonly name: string,
    readonly log: string[],
    readonly batches: number,
    readonly onFinish: () => void = () => {},
  ) {}

  notice(ready: number, now: number): void {
    this.log.push(`${this.name} notice ${ready} at ${now}`);
    this.#left = this.batches;
  }

  take(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    this.log.push(`${this.name} take`);
    return true;
  }

  work(): void {
    this.log.push(`${this.name} work`);
  }

  finish(): void {
    this.log.push(`${this.name} finish`);
    this.onFinish();
  }
}

/** A poll set that reports in turn what it is given; at the end it stops the loop. */
function scripted(reports: readonly number[]) {
  const left = [...reports];
  const waits: number[] = [];
  const stop = new Int32Array(1);
  const poller: Poller = {
    outsideCount: 0,
    outsideRow: () => -1,
    outsideHandle: () => -1,
    outsideError: () => false,
    wait(timeoutMs) {
      waits.push(timeoutMs);
      const ready = left.shift() ?? 0;
      if (left.length === 0) stop[0] = 1;
      return ready;
    },
    [Symbol.dispose]: () => {},
  };
  const loop: LoopOptions = { poller, now: () => 100.5, stop };
  return { loop, waits };
}

Deno.test("loop: each pump in turn does all it has, batch by batch", () => {
  const log: string[] = [];
  const { loop } = scripted([5]);
  runPumps(
    [new ScriptedPump("a", log, 2), new ScriptedPump("b", log, 1)],
    loop,
  );
  assert.deepEqual(log, [
    "a notice 5 at 100.5",
    ...["a take", "a work", "a finish"],
    ...["a take", "a work", "a finish"],
    "b notice 5 at 100.5",
    ...["b take", "b work", "b finish"],
  ]);
});

Deno.test("loop: it waits for the nearest deadline, without one for ever", () => {
  const { loop, waits } = scripted([0, 0, 0]);
  const a = new ScriptedPump("a", [], 1, () => {
    // Behind, then so far ahead that the other one is next.
    a.deadline = a.deadline === Infinity ? 7 : 300;
    b.deadline = 200;
  });
  const b = new ScriptedPump("b", [], 0);
  runPumps([a, b], loop);
  assert.deepEqual(waits, [-1, 0, 100]);
});

Deno.test("loop: a stop that came before the first wait is kept", () => {
  const { loop, waits } = scripted([1]);
  loop.stop[0] = 1;
  const log: string[] = [];
  const pump = new ScriptedPump("a", log, 1);
  runPumps([pump], loop);
  runInTurns(pump, new Turnstile(new SharedArrayBuffer(1024)), loop);
  assert.deepEqual([log, waits], [[], []]);
});

/** Runs a pump by turns. @returns what it did and the lock at each finish. */
function inTurns(alone: boolean) {
  const log: string[] = [];
  const locks: number[] = [];
  const buffer = new SharedArrayBuffer(Turnstile.byteLength);
  const cells = new Int32Array(buffer);
  const { loop } = scripted([1, 1]);
  const pump = new ScriptedPump("a", log, 2, () => locks.push(cells[0]));
  pump.alone = alone;
  runInTurns(pump, new Turnstile(buffer), loop);
  assert.equal(cells[0], 0, "the lock is left at the end");
  return { takes: log.filter((line) => line === "a take").length, locks };
}

Deno.test("loop: by turns, the input is free during work; the rest is left to others", () => {
  assert.deepEqual(inTurns(false), { takes: 2, locks: [0, 0] });
});

Deno.test("loop: by turns, a batch that goes alone keeps the input until it is out", () => {
  assert.deepEqual(inTurns(true), { takes: 4, locks: [1, 1, 1, 1] });
});

Deno.test("loop: by turns, a device that fails leaves the input to the others", () => {
  const buffer = new SharedArrayBuffer(Turnstile.byteLength);
  const pump = new ScriptedPump("a", [], 1);
  pump.take = () => {
    throw new Error("the interface was removed");
  };
  const { loop } = scripted([1]);
  assert.throws(
    () => runInTurns(pump, new Turnstile(buffer), loop),
    /the interface was removed/,
  );
  assert.equal(new Int32Array(buffer)[0], 0);
});
