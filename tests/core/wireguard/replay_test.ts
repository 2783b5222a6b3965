import assert from "node:assert/strict";
import fc from "fast-check";
import { ColumnAllocator } from "../../../src/core/columns/columns.ts";
import {
  REPLAY_ROW_BYTES,
  REPLAY_WINDOW,
  ReplayWindows,
} from "../../../src/core/wireguard/replay.ts";
import { Random } from "./hex.ts";

function windows(rows: number): ReplayWindows {
  const buffer = new ArrayBuffer(rows * (REPLAY_ROW_BYTES + 8) + 16);
  return new ReplayWindows(new ColumnAllocator(buffer), rows);
}

/** Remembers everything. */
class Twin {
  #seen = new Set<number>();
  #greatest = 0;

  accept(counter: number): boolean {
    if (this.#greatest - counter > REPLAY_WINDOW) return false;
    if (this.#seen.has(counter)) return false;
    this.#seen.add(counter);
    this.#greatest = Math.max(this.#greatest, counter);
    return true;
  }
}

Deno.test("the sequence of wireguard-go's own test", () => {
  const window = windows(1);
  const limit = REPLAY_WINDOW + 1;
  const steps: readonly (readonly [number, boolean])[] = [
    [0, true],
    [1, true],
    [1, false],
    [9, true],
    [8, true],
    [7, true],
    [7, false],
    [limit, true],
    [limit - 1, true],
    [limit - 1, false],
    [limit - 2, true],
    [2, true],
    [2, false],
    [limit + 16, true],
    [3, false],
    [limit + 16, false],
    [limit * 4, true],
    [limit * 4 - (limit - 1), true],
    [10, false],
    [limit * 4 - limit, false],
    [limit * 4 - (limit + 1), false],
    [limit * 4 - (limit - 2), true],
    [limit * 4 + 1 - limit, false],
    [0, false],
  ];
  for (const [counter, expected] of steps) {
    assert.equal(window.accept(0, counter), expected, `counter ${counter}`);
  }
});

Deno.test("counting down fills the whole window once", () => {
  const window = windows(1);
  const top = 20_000;
  assert.ok(window.accept(0, top));
  for (let back = 1; back <= REPLAY_WINDOW; back++) {
    assert.ok(window.accept(0, top - back), `${back} back`);
  }
  for (let back = 0; back <= REPLAY_WINDOW + 3; back++) {
    assert.ok(!window.accept(0, top - back), `${back} back again`);
  }
});

Deno.test("numbers that are no counter are refused", () => {
  const window = windows(1);
  for (const counter of [-1, NaN, Infinity, -Infinity, 2 ** 53]) {
    assert.ok(!window.accept(0, counter), `${counter}`);
  }
  assert.ok(window.accept(0, 2 ** 53 - 1));
  assert.ok(!window.accept(0, 2 ** 53 - 1));
  assert.ok(!window.accept(0, 1));
});

Deno.test("rows do not touch each other, and a reset forgets", () => {
  const window = windows(3);
  for (let counter = 0; counter < 10_000; counter++) {
    assert.ok(window.accept(1, counter));
  }
  assert.ok(window.accept(0, 5));
  assert.ok(window.accept(2, 5));
  window.reset(1);
  assert.ok(window.accept(1, 0));
  assert.ok(!window.accept(0, 5));
  assert.ok(!window.accept(2, 5));
});

Deno.test("it agrees with a set that remembers everything", () => {
  const step = fc.oneof(
    fc.integer({ min: -9000, max: 40 }),
    fc.integer({ min: 0, max: 300 }),
    fc.constant(20_000),
  );
  const start = fc.constantFrom(0, 100, 2 ** 31 - 50, 2 ** 32 - 50, 2 ** 45);
  fc.assert(
    fc.property(start, fc.array(step, { maxLength: 300 }), (at, steps) => {
      const window = windows(1);
      const twin = new Twin();
      let counter = at;
      for (const move of steps) {
        counter = Math.max(0, counter + move);
        assert.equal(window.accept(0, counter), twin.accept(counter));
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("a reordered stream with duplicates passes each counter once", () => {
  const random = new Random(11);
  const window = windows(1);
  const accepted = new Set<number>();
  for (let i = 0; i < 60_000; i++) {
    const counter = Math.max(0, i - random.below(8000));
    if (window.accept(0, counter)) {
      assert.ok(!accepted.has(counter));
      accepted.add(counter);
    } else assert.ok(accepted.has(counter) || i - counter > REPLAY_WINDOW);
  }
});
