import assert from "node:assert/strict";
import { RandomPool } from "../../src/datapath/random_pool.ts";

Deno.test("numbers are unsigned, different, and all over their range", () => {
  const pool = new RandomPool();
  const count = 20_000; // more than a page
  const numbers = Array.from({ length: count }, () => pool.uint32());
  assert.ok(numbers.every((n) => Number.isInteger(n) && n >= 0 && n < 2 ** 32));
  assert.ok(new Set(numbers).size > count - 10);
  for (let bit = 0; bit < 32; bit++) {
    const ones = numbers.filter((n) => (n >>> bit & 1) === 1).length;
    assert.ok(Math.abs(ones - count / 2) < 700, `bit ${bit}: ${ones}`);
  }
});

Deno.test("a range is filled, and nothing beside it", () => {
  const pool = new RandomPool();
  for (const length of [0, 1, 31, 16_384, 50_000]) {
    const bytes = new Uint8Array(length + 20);
    pool.fill(bytes, 10, length);
    assert.ok(bytes.slice(0, 10).every((byte) => byte === 0));
    assert.ok(bytes.slice(10 + length).every((byte) => byte === 0));
    const zeros = bytes.slice(10, 10 + length).filter((byte) => byte === 0);
    assert.ok(zeros.length <= 3 + length / 100, `${zeros.length} zeros`);
  }
});

Deno.test("bytes are not given twice", () => {
  const pool = new RandomPool();
  const seen = new Set<string>();
  const bytes = new Uint8Array(12);
  for (let n = 0; n < 5000; n++) {
    pool.fill(bytes, 0, 12);
    seen.add(bytes.join());
  }
  assert.equal(seen.size, 5000);
});
