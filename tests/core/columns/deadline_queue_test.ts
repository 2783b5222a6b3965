import assert from "node:assert/strict";
import { DeadlineQueue } from "../../../src/core/columns/deadline_queue.ts";
import { SeededRandom } from "./seeded_random.ts";

Deno.test("ids come out when due, earliest first, equal ones by id", () => {
  const queue = new DeadlineQueue(8);
  assert.equal(queue.next(), Infinity);
  assert.equal(queue.popDue(Infinity), -1);
  queue.set(5, 100);
  queue.set(7, 50);
  queue.set(2, 100);
  assert.equal(queue.size, 3);
  assert.equal(queue.next(), 50);
  assert.equal(queue.popDue(49.9), -1);
  assert.equal(queue.popDue(50), 7);
  assert.equal(queue.popDue(1000), 2);
  assert.equal(queue.popDue(1000), 5);
  assert.equal(queue.popDue(1000), -1);
  assert.equal(queue.size, 0);
});

Deno.test("a deadline moves both ways and can be taken away", () => {
  const queue = new DeadlineQueue(4);
  queue.set(0, 10);
  queue.set(1, 20);
  queue.set(2, 30);
  queue.set(2, 5);
  assert.equal(queue.next(), 5);
  queue.set(2, 25);
  queue.set(0, Infinity);
  queue.clear(0);
  queue.clear(3);
  assert.equal(queue.deadline(0), Infinity);
  assert.equal(queue.deadline(2), 25);
  assert.equal(queue.size, 2);
  assert.equal(queue.popDue(100), 1);
  assert.equal(queue.popDue(100), 2);
});

/** The obvious way: a list, sorted whenever it is asked. */
class SlowQueue {
  readonly #deadlines = new Map<number, number>();

  set(id: number, deadline: number): void {
    if (deadline === Infinity) this.#deadlines.delete(id);
    else this.#deadlines.set(id, deadline);
  }

  next(): number {
    return this.#sorted()[0]?.[1] ?? Infinity;
  }

  popDue(now: number): number {
    const [first] = this.#sorted();
    if (first === undefined || first[1] > now) return -1;
    this.#deadlines.delete(first[0]);
    return first[0];
  }

  get size(): number {
    return this.#deadlines.size;
  }

  #sorted(): [number, number][] {
    return [...this.#deadlines].sort((a, b) => a[1] - b[1] || a[0] - b[0]);
  }
}

for (const [seed, capacity] of [[1, 1], [2, 3], [3, 40], [4, 40]]) {
  Deno.test(`a sorted list does the same: ${capacity} ids, seed ${seed}`, () => {
    const random = new SeededRandom(seed);
    const queue = new DeadlineQueue(capacity);
    const slow = new SlowQueue();
    for (let step = 0; step < 6000; step++) {
      const id = random.below(capacity);
      switch (random.below(4)) {
        case 0:
        case 1: {
          const deadline = random.below(200);
          queue.set(id, deadline);
          slow.set(id, deadline);
          break;
        }
        case 2:
          queue.clear(id);
          slow.set(id, Infinity);
          break;
        case 3: {
          const now = random.below(120);
          assert.equal(queue.popDue(now), slow.popDue(now));
          break;
        }
      }
      assert.equal(queue.next(), slow.next(), `step ${step}`);
      assert.equal(queue.size, slow.size);
    }
    while (slow.size > 0) {
      assert.equal(queue.popDue(Infinity), slow.popDue(Infinity));
    }
    assert.equal(queue.size, 0);
  });
}
