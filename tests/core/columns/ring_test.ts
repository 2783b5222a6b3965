import assert from "node:assert/strict";
import { sharedBuffer } from "../../../src/core/columns/columns.ts";
import { Ring } from "../../../src/core/columns/ring.ts";
import {
  messageLength,
  type ProducerOrder,
  READ,
  WRITTEN,
} from "./ring_messages.ts";
import { SeededRandom } from "./seeded_random.ts";

type Message = [kind: number, a: number, b: number, bytes: number[]];

function ringOf(capacity: number): Ring {
  return new Ring(new ArrayBuffer(Ring.byteLength(capacity)), capacity);
}

function drain(ring: Ring): Message[] {
  const messages: Message[] = [];
  const count = ring.read((kind, a, b, bytes, at, length) => {
    messages.push([kind, a, b, [...bytes.slice(at, at + length)]]);
  });
  assert.equal(count, messages.length);
  return messages;
}

Deno.test("messages come out in order with all that was put in", () => {
  const ring = ringOf(256);
  const bytes = Uint8Array.of(9, 1, 2, 3, 9);
  assert.ok(ring.tryWrite(0, -1, 0x7fffffff, bytes, 1, 3));
  assert.ok(ring.tryWrite(7, 2, 3, bytes, 0, 0));
  bytes.fill(0);
  assert.deepEqual(drain(ring), [
    [0, -1, 0x7fffffff, [1, 2, 3]],
    [7, 2, 3, []],
  ]);
  assert.deepEqual(drain(ring), []);
});

Deno.test("a full ring refuses and keeps what it has", () => {
  const ring = ringOf(128);
  const bytes = new Uint8Array(128).fill(5);
  assert.equal(ring.maxLength, 32);
  assert.ok(!ring.tryWrite(0, 0, 0, bytes, 0, 33), "longer than it may be");
  assert.ok(ring.tryWrite(1, 0, 0, bytes, 0, 32));
  assert.ok(ring.tryWrite(2, 0, 0, bytes, 0, 32));
  assert.ok(!ring.tryWrite(3, 0, 0, bytes, 0, 0));
  assert.deepEqual(drain(ring).map(([kind]) => kind), [1, 2]);
  assert.ok(ring.tryWrite(4, 0, 0, bytes, 0, 0));
  assert.deepEqual(drain(ring).map(([kind]) => kind), [4]);
});

Deno.test("the longest message fits in an empty ring wherever it stands", () => {
  const bytes = new Uint8Array(96).map((_, i) => i);
  for (let shift = 0; shift < 16; shift++) {
    const ring = ringOf(256);
    for (let i = 0; i < shift; i++) {
      assert.ok(ring.tryWrite(0, 0, 0, bytes, 0, i % 2 === 0 ? 0 : 16));
      drain(ring);
    }
    assert.ok(ring.tryWrite(1, 0, 0, bytes, 0, ring.maxLength), `${shift}`);
    assert.deepEqual(drain(ring), [[1, 0, 0, [...bytes]]]);
  }
});

Deno.test("a queue of arrays does the same", () => {
  for (const capacity of [128, 512, 4096]) {
    const random = new SeededRandom(capacity);
    const ring = ringOf(capacity);
    const twin: Message[] = [];
    const bytes = new Uint8Array(capacity);
    let refused = 0;
    for (let step = 0; step < 5000; step++) {
      if (random.below(4) === 0) {
        assert.deepEqual(drain(ring), twin.splice(0));
        continue;
      }
      const length = random.below(ring.maxLength + 1);
      random.fill(bytes, 0, length);
      if (ring.tryWrite(step, step * 2, ~step, bytes, 0, length)) {
        twin.push([step, step * 2, ~step, [...bytes.slice(0, length)]]);
      } else {
        refused++;
        assert.ok(twin.length > 0, "an empty ring refuses nothing that fits");
      }
    }
    assert.ok(refused > 0);
  }
});

Deno.test("positions may pass 2^31 and 2^32", () => {
  const capacity = 256;
  const bytes = new Uint8Array(96).fill(1);
  for (const start of [0x7fffffc0, -64]) {
    const buffer = new ArrayBuffer(Ring.byteLength(capacity));
    // Both positions stand shortly before, as after gigabytes of messages.
    const positions = new Int32Array(buffer, 0, 32);
    positions[0] = start;
    positions[16] = start;
    const ring = new Ring(buffer, capacity);
    for (let n = 0; n < 20; n++) {
      assert.ok(ring.tryWrite(n, 0, 0, bytes, 0, 96 - n));
      if (n === 0) assert.ok(!ring.tryWrite(n, 0, 0, bytes, 0, 96));
      const read = drain(ring).map((message) => message[3].length);
      assert.deepEqual(read, [96 - n]);
    }
  }
});

Deno.test("a message counts as read though its handler throws", () => {
  const ring = ringOf(256);
  const bytes = new Uint8Array(8);
  ring.tryWrite(1, 0, 0, bytes, 0, 8);
  ring.tryWrite(2, 0, 0, bytes, 0, 8);
  assert.throws(() =>
    ring.read(() => {
      throw new Error("handler");
    }), /handler/);
  assert.deepEqual(drain(ring).map(([kind]) => kind), [2]);
});

Deno.test("what is written while reading waits for the next read", () => {
  const ring = ringOf(256);
  ring.tryWrite(1, 0, 0, new Uint8Array(), 0, 0);
  const kinds: number[] = [];
  const handler = (kind: number) => {
    kinds.push(kind);
    ring.tryWrite(kind + 1, 0, 0, new Uint8Array(), 0, 0);
  };
  assert.equal(ring.read(handler), 1);
  assert.equal(ring.read(handler), 1);
  assert.deepEqual(kinds, [1, 2]);
});

Deno.test("a capacity that is no power of two is the caller's mistake", () => {
  for (const capacity of [0, 32, 100, 2 ** 31]) {
    assert.throws(() => new Ring(new ArrayBuffer(4096), capacity), RangeError);
  }
  assert.throws(() => new Ring(new ArrayBuffer(64), 64), RangeError);
});

for (const capacity of [256, 4096]) {
  Deno.test(`a worker writes while we read: ${capacity} bytes`, async () => {
    const order: ProducerOrder = {
      buffer: sharedBuffer(Ring.byteLength(capacity)),
      capacity,
      bells: sharedBuffer(8),
      count: 20000,
    };
    const ring = new Ring(order.buffer, capacity);
    const bells = new Int32Array(order.bells);
    const worker = new Worker(import.meta.resolve("./ring_producer.ts"), {
      type: "module",
    });
    let wrong = "";
    let next = 0;
    const handler = (
      kind: number,
      a: number,
      b: number,
      bytes: Uint8Array,
      at: number,
      length: number,
    ) => {
      const n = next++;
      let right = kind === n % 5 && a === n && b === ~n &&
        length === messageLength(n, ring.maxLength);
      for (let i = 0; i < length; i++) {
        right &&= bytes[at + i] === ((n + i) & 255);
      }
      if (!right && wrong === "") wrong = `message ${n}: ${kind} ${a} ${b}`;
    };
    try {
      worker.postMessage(order);
      while (next < order.count && wrong === "") {
        const seen = Atomics.load(bells, WRITTEN);
        if (ring.read(handler) > 0) {
          Atomics.add(bells, READ, 1);
          Atomics.notify(bells, READ);
        } else {
          await Atomics.waitAsync(bells, WRITTEN, seen).value;
        }
      }
    } finally {
      worker.terminate();
    }
    assert.equal(wrong, "");
    assert.equal(next, order.count);
    assert.equal(ring.read(handler), 0);
  });
}
