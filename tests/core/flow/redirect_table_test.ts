import assert from "node:assert/strict";
import fc from "fast-check";
import {
  FIRST_PORT,
  generationIn,
  MAX_REDIRECTS,
  RedirectState,
  RedirectTable,
  type RedirectTableOptions,
  stateIn,
} from "../../../src/core/flow/redirect_table.ts";
import { Random } from "../wireguard/hex.ts";
import { addressWords } from "./packets.ts";

const SIZE = { capacity: 16, peers: 4, generations: 64 };
const REMOTE = addressWords("192.0.2.7");

function table(size: RedirectTableOptions = SIZE): RedirectTable {
  return new RedirectTable(
    new SharedArrayBuffer(RedirectTable.byteLength(size)),
    size,
  );
}

function client(n: number): Int32Array {
  return addressWords(`10.8.0.${n}`);
}

/** Takes a row for client n's port and begins it. */
function begin(
  redirects: RedirectTable,
  port: number,
  peer = 0,
  now = 0,
): number {
  const row = redirects.take();
  assert.ok(row >= 0);
  redirects.begin(row, client(2), port, REMOTE, 443, peer, 7, now);
  return row;
}

function find(redirects: RedirectTable, port: number, peer = 0): number {
  return redirects.lookup(client(2), port, REMOTE, 443, peer);
}

Deno.test("the table fits the bytes that it asks for, whatever its size", () => {
  for (const capacity of [1, 2, 3, 63, 64, 1000, MAX_REDIRECTS]) {
    for (const peers of [1, 7]) table({ capacity, peers, generations: 2 });
  }
});

Deno.test("sizes that can't be are refused", () => {
  const big = new SharedArrayBuffer(1 << 24);
  for (
    const wrong of [
      { capacity: 0 },
      { capacity: MAX_REDIRECTS + 1 },
      { generations: 0 },
      { generations: 48 },
    ]
  ) {
    assert.throws(
      () => new RedirectTable(big, { ...SIZE, ...wrong }),
      RangeError,
    );
  }
});

Deno.test("a row's life: free, dialing, open, closed, resting, free", () => {
  const redirects = table();
  const row = begin(redirects, 4000, 1);
  assert.equal(redirects.stateOf(row), RedirectState.Dialing);
  assert.deepEqual([redirects.size, redirects.dialingOf(1)], [1, 1]);
  const generation = redirects.generationOf(row);
  assert.ok(redirects.settle(row, generation, RedirectState.Open));
  assert.equal(redirects.stateOf(row), RedirectState.Open);
  assert.deepEqual([redirects.size, redirects.dialingOf(1)], [1, 0]);
  redirects.close(row, 100);
  assert.equal(redirects.stateOf(row), RedirectState.Closed);
  assert.deepEqual([redirects.size, redirects.connectionsOf(1)], [0, 0]);
  assert.equal(find(redirects, 4000, 1), row);
  assert.equal(redirects.rested(100), -1);
  assert.equal(redirects.rested(101), row);
  redirects.release();
  assert.equal(redirects.stateOf(row), RedirectState.Free);
  assert.equal(find(redirects, 4000, 1), -1);
  assert.equal(redirects.resting, 0);
});

Deno.test("a row that is forgotten is found no more, and rests before it is used again", () => {
  const redirects = table({ ...SIZE, capacity: 1 });
  const row = begin(redirects, 4000);
  redirects.forget(row, 50);
  assert.equal(find(redirects, 4000), -1);
  assert.deepEqual([redirects.size, redirects.dialingOf(0)], [0, 0]);
  assert.equal(redirects.take(), -1);
  assert.equal(redirects.rested(51), row);
  redirects.release();
  assert.equal(redirects.take(), row);
});

Deno.test("a closed row that is forgotten rests on, once", () => {
  const redirects = table();
  const row = begin(redirects, 4000);
  redirects.close(row, 10);
  redirects.forget(row, 20);
  assert.equal(redirects.resting, 1);
  assert.equal(redirects.rested(11), row);
  redirects.release();
  assert.deepEqual([redirects.resting, redirects.rested(99)], [0, -1]);
});

Deno.test("settle counts once, for its own generation alone", () => {
  const redirects = table();
  const row = begin(redirects, 4000, 2);
  const generation = redirects.generationOf(row);
  assert.ok(!redirects.settle(row, generation + 1, RedirectState.Open));
  assert.ok(!redirects.settle(row, generation - 1, RedirectState.Open));
  assert.ok(redirects.settle(row, generation, RedirectState.Refused));
  assert.ok(!redirects.settle(row, generation, RedirectState.Open));
  assert.equal(redirects.stateOf(row), RedirectState.Refused);
  assert.equal(redirects.dialingOf(2), 0);
  redirects.forget(row, 0);
  redirects.rested(1);
  redirects.release();
  assert.ok(!redirects.settle(row, generation, RedirectState.Open));
  assert.equal(redirects.dialingOf(2), 0);
});

Deno.test("an abandoned dial can't be settled, nor its row's next one by the old generation", () => {
  const redirects = table({ ...SIZE, capacity: 1 });
  const row = begin(redirects, 4000);
  const generation = redirects.generationOf(row);
  redirects.forget(row, 0);
  assert.ok(!redirects.settle(row, generation, RedirectState.Open));
  redirects.release();
  assert.equal(begin(redirects, 4001), row);
  assert.ok(!redirects.settle(row, generation, RedirectState.Open));
  assert.equal(redirects.stateOf(row), RedirectState.Dialing);
  assert.equal(redirects.dialingOf(0), 1);
});

Deno.test("each use has the next generation; the last is followed by one of the first's address", () => {
  const redirects = table({ ...SIZE, capacity: 1, generations: 4 });
  const seen: number[] = [];
  for (let n = 0; n < 10; n++) {
    const row = begin(redirects, 4000);
    seen.push(redirects.generationOf(row) % 4);
    redirects.forget(row, 0);
    redirects.release();
  }
  assert.deepEqual(seen, [1, 2, 3, 0, 1, 2, 3, 0, 1, 2]);
});

Deno.test("generations wrap without a state's bit lost, and never to 0", () => {
  const size = { ...SIZE, capacity: 1 };
  const buffer = new SharedArrayBuffer(RedirectTable.byteLength(size));
  const redirects = new RedirectTable(buffer, size);
  const row = begin(redirects, 4000);
  // The word, found by its value: generation 1, Dialing.
  const cells = new Int32Array(buffer);
  const at = cells.indexOf((1 << 3) | RedirectState.Dialing);
  for (
    const [before, after] of [
      [2 ** 28 - 2, 2 ** 28 - 1],
      [2 ** 28 - 1, 64],
      [64, 65],
    ]
  ) {
    redirects.forget(row, 0);
    redirects.release();
    cells[at] = (before << 3) | RedirectState.Free;
    assert.equal(redirects.generationOf(row), before);
    assert.equal(begin(redirects, 4000), row);
    assert.equal(redirects.generationOf(row), after);
    assert.equal(redirects.stateOf(row), RedirectState.Dialing);
    assert.ok(cells[at] > 0);
    assert.ok(redirects.settle(row, after, RedirectState.Open));
  }
});

Deno.test("rows are used again first in, first out", () => {
  const redirects = table({ ...SIZE, capacity: 4 });
  const rows = [1, 2, 3, 4].map((port) => begin(redirects, port));
  for (const n of [2, 0, 3, 1]) redirects.forget(rows[n], n);
  for (let n = 0; n < 4; n++) redirects.release();
  const again = [1, 2, 3, 4].map(() => redirects.take());
  assert.deepEqual(again, [2, 0, 3, 1].map((n) => rows[n]));
});

Deno.test("the same pair behind two peers is two connections", () => {
  const redirects = table();
  const first = begin(redirects, 4000, 0);
  const second = begin(redirects, 4000, 1);
  assert.notEqual(first, second);
  assert.equal(find(redirects, 4000, 0), first);
  assert.equal(find(redirects, 4000, 1), second);
  assert.equal(find(redirects, 4000, 2), -1);
});

Deno.test("every part of a pair counts", () => {
  const redirects = table();
  const row = redirects.take();
  const from = Int32Array.of(1, 2, 3, 4);
  const to = Int32Array.of(-5, 6, 7, -8);
  redirects.begin(row, from, 4000, to, 443, 0, 0, 0);
  assert.equal(redirects.lookup(from, 4000, to, 443, 0), row);
  assert.equal(redirects.lookup(from, 4001, to, 443, 0), -1);
  assert.equal(redirects.lookup(from, 4000, to, 444, 0), -1);
  for (let word = 0; word < 4; word++) {
    const other = (words: Int32Array) => words.with(word, words[word] + 1);
    assert.equal(redirects.lookup(other(from), 4000, to, 443, 0), -1);
    assert.equal(redirects.lookup(from, 4000, other(to), 443, 0), -1);
  }
});

Deno.test("words show state and generation at once", () => {
  const redirects = table();
  const row = begin(redirects, 4000);
  const word = redirects.wordOf(row);
  assert.equal(stateIn(word), RedirectState.Dialing);
  assert.equal(generationIn(word), redirects.generationOf(row));
  assert.equal(FIRST_PORT, 1024);
});

/** What a table does, by maps and lists, slowly. */
class Twin {
  readonly live = new Map<
    string,
    { row: number; state: number; peer: number }
  >();
  resting: { row: number; key: string; linked: boolean; at: number }[] = [];
  readonly free: number[] = [];
  used = 0;

  constructor(readonly capacity: number) {}

  take(): number {
    return this.free.shift() ?? (this.used < this.capacity ? this.used++ : -1);
  }

  find(key: string): number {
    return this.live.get(key)?.row ??
      this.resting.findLast((entry) => entry.linked && entry.key === key)
        ?.row ??
      -1;
  }

  count(peer: number, state?: number): number {
    return [...this.live.values()].filter((entry) =>
      entry.peer === peer && (state === undefined || entry.state === state)
    ).length;
  }
}

Deno.test("any order of uses: as maps and lists have it", () => {
  const step = fc.tuple(fc.nat(9), fc.nat(7), fc.nat(2));
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300, size: "max" }),
      fc.nat(),
      (steps, seed) => {
        const redirects = table({ ...SIZE, capacity: 6, seed });
        const twin = new Twin(6);
        let now = 0;
        for (const [action, port, peer] of steps) {
          now++;
          const key = `${port} ${peer}`;
          const row = find(redirects, port, peer);
          assert.equal(row, twin.find(key));
          const live = twin.live.get(key);
          if (action <= 2 && row < 0) {
            const taken = redirects.take();
            assert.equal(taken, twin.take());
            if (taken < 0) continue;
            redirects.begin(taken, client(2), port, REMOTE, 443, peer, 7, now);
            twin.live.set(key, {
              row: taken,
              state: RedirectState.Dialing,
              peer,
            });
          } else if (action <= 4 && live !== undefined) {
            const state = action === 3
              ? RedirectState.Open
              : RedirectState.Refused;
            const settled = redirects.settle(
              row,
              redirects.generationOf(row),
              state,
            );
            assert.equal(settled, live.state === RedirectState.Dialing);
            if (settled) live.state = state;
          } else if (action === 5 && live !== undefined) {
            redirects.close(row, now);
            twin.live.delete(key);
            twin.resting.push({ row, key, linked: true, at: now });
          } else if (action === 6 && row >= 0) {
            redirects.forget(row, now);
            if (live !== undefined) {
              twin.live.delete(key);
              twin.resting.push({ row, key, linked: false, at: now });
            } else {
              const entry = twin.resting.find((one) => one.row === row);
              if (entry !== undefined) entry.linked = false;
            }
          } else if (action >= 7) {
            const rested = redirects.rested(now - port);
            const expected = twin.resting[0];
            const due = expected !== undefined && expected.at < now - port;
            assert.equal(rested, due ? expected.row : -1);
            if (rested < 0) continue;
            redirects.release();
            twin.resting.shift();
            twin.free.push(rested);
          }
          assert.equal(redirects.size, twin.live.size);
          assert.equal(redirects.resting, twin.resting.length);
          for (let n = 0; n < 3; n++) {
            assert.equal(redirects.connectionsOf(n), twin.count(n));
            assert.equal(
              redirects.dialingOf(n),
              twin.count(n, RedirectState.Dialing),
            );
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("a full table of 64,512: each is found, then nothing is left", () => {
  const size = { capacity: MAX_REDIRECTS, peers: 4, generations: 64, seed: 99 };
  const redirects = table(size);
  const random = new Random(5);
  const pairs = Array.from({ length: MAX_REDIRECTS }, (_, n) => ({
    from: client(2 + (n & 3)),
    port: 1024 + (n >> 2),
    to: Int32Array.of(0, 0, 0xffff, random.next() | 0),
    toPort: random.below(65_536),
  }));
  for (const { from, port, to, toPort } of pairs) {
    const row = redirects.take();
    redirects.begin(row, from, port, to, toPort, 0, 0, 0);
  }
  assert.equal(redirects.take(), -1);
  assert.equal(redirects.size, MAX_REDIRECTS);
  pairs.forEach(({ from, port, to, toPort }, row) => {
    assert.equal(redirects.lookup(from, port, to, toPort, 0), row);
  });
  for (let row = 0; row < MAX_REDIRECTS; row++) redirects.forget(row, 1);
  while (redirects.rested(2) >= 0) redirects.release();
  assert.deepEqual([redirects.size, redirects.resting], [0, 0]);
  assert.equal(redirects.dialingOf(0), 0);
});
