/** The driver's sections, against a driver that writes at every moment of a read. */
import assert from "node:assert/strict";
import { intermediateBuffer } from "../../../../ffi/windows/layouts/ndisapi.ts";
import {
  FastIoSection,
  SECTION_HEADER,
} from "../../../../src/io/os/windows/ndis_fast_io.ts";

const SIZE = intermediateBuffer.size;
const WRITING = 1 << 16;

class Section {
  readonly memory: ArrayBuffer;
  readonly cells: Int32Array;
  readonly bytes: Uint8Array;
  readonly taken: Uint8Array;
  /** Called before each copy. */
  onCopy: () => void = () => {};
  readonly section: FastIoSection;

  constructor(frames: number) {
    this.memory = new ArrayBuffer(SECTION_HEADER + frames * SIZE + 100);
    this.memory = this.memory.slice(0, this.memory.byteLength & ~3);
    this.cells = new Int32Array(this.memory, 0, 2);
    this.bytes = new Uint8Array(this.memory);
    this.taken = new Uint8Array(frames * SIZE);
    this.section = new FastIoSection(this.memory, (to, from, length) => {
      this.onCopy();
      this.taken.set(this.bytes.subarray(from, from + length), to);
    });
  }

  fill(frame: number, value: number): void {
    const at = SECTION_HEADER + frame * SIZE;
    this.bytes.fill(value, at, at + SIZE);
  }

  /** The values of the frames that were taken; 0 where one is mixed. */
  values(count: number): number[] {
    return Array.from({ length: count }, (_, n) => {
      const frame = this.taken.subarray(n * SIZE, (n + 1) * SIZE);
      return frame.every((byte) => byte === frame[0]) ? frame[0] : 0;
    });
  }
}

Deno.test("a section has room for whole frames", () => {
  for (const frames of [1, 2, 5]) {
    assert.equal(new Section(frames).section.capacity, frames);
  }
});

Deno.test("nothing is taken of an empty section, and nothing is said in it", () => {
  const at = new Section(2);
  assert.equal(at.section.isFilled, false);
  assert.equal(at.section.take(0), 0);
  assert.deepEqual([...at.cells], [0, 0]);
});

Deno.test("all frames are taken, and the section is free again", () => {
  const at = new Section(4);
  for (const count of [1, 2, 4]) {
    for (let n = 0; n < count; n++) at.fill(n, 10 + n);
    at.cells[0] = count;
    assert.equal(at.section.isFilled, true);
    assert.equal(at.section.take(0), count);
    assert.deepEqual(at.values(count), [10, 11, 12, 13].slice(0, count));
    assert.deepEqual([...at.cells], [0, 0]);
  }
});

Deno.test("the driver hears of a read before the frames are touched", () => {
  const at = new Section(4);
  at.cells[0] = 3;
  const reading: number[] = [];
  at.onCopy = () => reading.push(at.cells[1]);
  at.section.take(0);
  assert.deepEqual(reading, [1, 1]);
});

Deno.test("a frame that was being counted in is waited for", () => {
  const at = new Section(4);
  at.fill(0, 1);
  at.fill(1, 2);
  // Counted already, but not yet whole.
  at.cells[0] = 3 | WRITING;
  at.onCopy = () => {
    at.fill(2, 3);
    at.cells[0] = 3;
    at.onCopy = () => {};
  };
  assert.equal(at.section.take(0), 3);
  assert.deepEqual(at.values(3), [1, 2, 3]);
});

Deno.test("a write that began before the read and counts afterwards is taken, too", () => {
  const at = new Section(4);
  at.fill(0, 1);
  at.fill(1, 2);
  at.cells[0] = 2 | WRITING;
  at.onCopy = () => {
    at.fill(2, 3);
    at.cells[0] = 3;
    at.onCopy = () => {};
  };
  assert.equal(at.section.take(0), 3);
  assert.deepEqual(at.values(3), [1, 2, 3]);
  assert.deepEqual([...at.cells], [0, 0]);
});
