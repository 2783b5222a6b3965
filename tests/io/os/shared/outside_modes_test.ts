import assert from "node:assert/strict";
import { OutsideModes } from "../../../../src/io/os/shared/outside_modes.ts";

Deno.test("a socket's mode is set when it changes or may have", () => {
  const modes = new OutsideModes(
    new SharedArrayBuffer(OutsideModes.byteLength(100)),
  );
  assert.equal(OutsideModes.byteLength(100), 512);
  assert.equal(modes.change(5, 0), true);
  assert.equal(modes.change(5, 0), false);
  assert.equal(modes.change(5, 2), true);
  assert.equal(modes.change(6, 2), true);
  assert.equal(modes.change(5, 2), false);
  modes.forget(5);
  assert.equal(modes.change(5, 2), true);
  // 5 and 133 share a cell: neither is taken for the other.
  assert.equal(modes.change(133, 2), true);
  assert.equal(modes.change(5, 2), true);
});

Deno.test("sockets in one cell are told apart, the largest mode from the next socket", () => {
  const { length } = new Int32Array(OutsideModes.byteLength(4) / 4);
  const modes = new OutsideModes(
    new SharedArrayBuffer(OutsideModes.byteLength(4)),
  );
  for (const number of [1, 1 + length, 1 + length * 1000]) {
    for (const mode of [0, 1, 511]) {
      assert.equal(modes.change(number, mode), true);
      assert.equal(modes.change(number, mode), false);
    }
  }
  assert.equal(modes.change(1, 511), true);
});
