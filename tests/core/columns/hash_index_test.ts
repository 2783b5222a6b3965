import assert from "node:assert/strict";
import { sharedBuffer } from "../../../src/core/columns/columns.ts";
import {
  finishHash,
  HashIndex,
  mixHash,
} from "../../../src/core/columns/hash_index.ts";
import { SeededRandom } from "./seeded_random.ts";

function indexOf(capacity: number): HashIndex {
  return new HashIndex(
    new ArrayBuffer(HashIndex.byteLength(capacity)),
    capacity,
  );
}

function rowsOf(index: HashIndex, hash: number): number[] {
  const rows: number[] = [];
  for (let row = index.first(hash); row >= 0; row = index.next()) {
    rows.push(row);
    assert.ok(rows.length < 1000, "a walk ends");
  }
  return rows.sort((a, b) => a - b);
}

Deno.test("rows are found by hash, several under one", () => {
  const index = indexOf(4);
  assert.deepEqual(rowsOf(index, 0), []);
  assert.ok(index.insert(-1, 0));
  assert.ok(index.insert(0xffffffff, 3), "the same 32 bits");
  assert.ok(index.insert(7, 1));
  assert.deepEqual(rowsOf(index, -1), [0, 3]);
  assert.deepEqual(rowsOf(index, 7), [1]);
  assert.deepEqual(rowsOf(index, 15), [], "the same slot, another hash");
  assert.equal(index.next(), -1);
  assert.equal(index.size, 3);
});

Deno.test("a full index refuses, and takes again after a removal", () => {
  const index = indexOf(3);
  for (let row = 0; row < 3; row++) assert.ok(index.insert(row, row));
  assert.ok(!index.insert(3, 3));
  assert.ok(!index.remove(0, 1), "another row");
  assert.ok(!index.remove(8, 0), "another hash");
  assert.ok(index.remove(0, 0));
  assert.ok(!index.remove(0, 0));
  assert.ok(index.insert(3, 3));
  assert.deepEqual(rowsOf(index, 0), []);
  assert.deepEqual(rowsOf(index, 3), [3]);
});

Deno.test("clear leaves nothing", () => {
  const index = indexOf(20);
  for (let row = 0; row < 20; row++) index.insert(5, row);
  index.clear();
  assert.equal(index.size, 0);
  assert.deepEqual(rowsOf(index, 5), []);
  assert.ok(index.insert(5, 9));
  assert.deepEqual(rowsOf(index, 5), [9]);
});

/** Hashes that crowd, so that runs of slots meet, wrap and overlap. */
const CROWDS: readonly [string, (random: SeededRandom) => number][] = [
  ["spread", (random) => random.next()],
  ["few hashes", (random) => random.below(6) - 3],
  ["one slot", (random) => random.below(50) * 256],
  ["around the end", (random) => 120 + random.below(16)],
];

for (const [name, draw] of CROWDS) {
  Deno.test(`a Map does the same through inserts and removals: ${name}`, () => {
    const random = new SeededRandom(42);
    const capacity = 60;
    const buffer = sharedBuffer(HashIndex.byteLength(capacity));
    const index = new HashIndex(buffer, capacity);
    const reader = new HashIndex(buffer, capacity);
    const twin = new Map<number, number>();
    const seen = new Array<number>(30).fill(0);
    for (let step = 0; step < 20000; step++) {
      const row = random.below(capacity);
      const known = twin.get(row);
      if (known === undefined) {
        const hash = draw(random) | 0;
        seen[step % 30] = hash;
        assert.ok(index.insert(hash, row));
        twin.set(row, hash);
      } else {
        assert.ok(index.remove(known, row));
        twin.delete(row);
      }
      const asked = seen[random.below(seen.length)];
      const wanted = [...twin]
        .filter(([, hash]) => hash === asked)
        .map(([r]) => r).sort((a, b) => a - b);
      const through = step % 2 === 0 ? index : reader;
      assert.deepEqual(rowsOf(through, asked), wanted, `step ${step}`);
      assert.equal(index.size, twin.size);
    }
    for (const [row, hash] of twin) {
      assert.ok(rowsOf(index, hash).includes(row));
    }
  });
}

Deno.test("removed entries don't pile up and are counted right", () => {
  // The layout: three words of state in 16 bytes, hashes, rows; two areas each.
  const capacity = 60;
  const slots = 128;
  const buffer = new ArrayBuffer(HashIndex.byteLength(capacity));
  const state = new Int32Array(buffer, 0, 3);
  const rows = new Int32Array(buffer, 16 + slots * 8, slots * 2);
  const index = new HashIndex(buffer, capacity);
  const random = new SeededRandom(7);
  const hashes = new Array<number>(capacity).fill(-1);
  const areas = new Set<number>();
  for (let step = 0; step < 5000; step++) {
    const row = random.below(capacity);
    if (hashes[row] < 0) {
      hashes[row] = random.next() >>> 1;
      index.insert(hashes[row], row);
    } else {
      index.remove(hashes[row], row);
      hashes[row] = -1;
    }
    const [area, live, dead] = state;
    const used = rows.subarray(area * slots, (area + 1) * slots);
    areas.add(area);
    assert.equal(used.filter((entry) => entry > 0).length, live);
    assert.equal(used.filter((entry) => entry < 0).length, dead);
    assert.ok(live + dead <= slots * 0.75, `step ${step}`);
  }
  assert.equal(areas.size, 2);
});

Deno.test("the hash is MurmurHash3 of whole words", () => {
  // Known answers of murmur3_32 for 4 bytes (little-endian) and a seed; the
  // published function mixes the length in before its end.
  const murmur = (word: number, seed: number) =>
    finishHash(mixHash(seed, word) ^ 4) >>> 0;
  assert.equal(murmur(0x00000000, 0), 0x2362f9de);
  assert.equal(murmur(0x87654321, 0), 0xf55b516b);
  assert.equal(murmur(0x87654321, 0x5082edee), 0x2362f9de);
  assert.equal(murmur(0xffffffff, 0), 0x76293b50);
});
