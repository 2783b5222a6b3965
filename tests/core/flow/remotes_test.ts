import assert from "node:assert/strict";
import { ContactedRemotes } from "../../../src/core/flow/remotes.ts";
import { addressWords } from "./packets.ts";

function table(entries: number): ContactedRemotes {
  const buffer = new SharedArrayBuffer(
    ContactedRemotes.byteLength({ entries }),
  );
  return new ContactedRemotes(buffer, { entries });
}

Deno.test("what was noted is found, and nothing else", () => {
  const remotes = table(64);
  const words = addressWords("192.0.2.1");
  remotes.note(5, 1, 0, words, 0, 80, 100);
  assert.equal(remotes.contacted(5, 1, words, 0, 80, 100), true);
  assert.equal(
    remotes.contacted(5, 1, words, 0, 80, 101),
    false,
    "too long ago",
  );
  assert.equal(remotes.contacted(5, 1, words, 0, 81, 0), false, "another port");
  assert.equal(
    remotes.contacted(5, 2, words, 0, 80, 0),
    false,
    "another generation",
  );
  assert.equal(remotes.contacted(6, 1, words, 0, 80, 0), false, "another row");
  assert.equal(
    remotes.contacted(5, 1, addressWords("192.0.2.2"), 0, 80, 0),
    false,
  );
  remotes.note(5, 1, 0, words, 0, 80, 300);
  assert.equal(remotes.contacted(5, 1, words, 0, 80, 300), true, "noted again");
});

Deno.test("a peer that scans pushes out its own remotes, not others'", () => {
  const remotes = table(64);
  const words = addressWords("192.0.2.1");
  for (let port = 1; port <= 8; port++) {
    remotes.note(1, 1, 7, words, 0, port, 1000 + port);
  }
  const before = [1, 2, 3, 4, 5, 6, 7, 8].filter((port) =>
    remotes.contacted(1, 1, words, 0, port, 0)
  );
  assert.equal(before.length, 8);
  for (let n = 0; n < 100_000; n++) {
    remotes.note(2, 1, 3, words, 0, n & 0xffff, 2000 + n);
  }
  const after = before.filter((port) =>
    remotes.contacted(1, 1, words, 0, port, 0)
  );
  // In each set of 8 the scanner may take two entries at most.
  assert.ok(after.length >= 4, `${after.length} left`);
});

Deno.test("a size that is no power of two is refused", () => {
  assert.throws(() => table(12), RangeError);
  assert.throws(() => table(4), RangeError);
});
