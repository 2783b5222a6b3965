import assert from "node:assert/strict";
import fc from "fast-check";
import { editDistance, suggest } from "../../src/config/suggest.ts";

Deno.test("edit distances", () => {
  const known: [string, string, number][] = [
    ["", "", 0],
    ["", "abc", 3],
    ["kitten", "sitting", 3],
    ["listenport", "listneport", 1],
    ["flaw", "lawn", 2],
  ];
  for (const [left, right, distance] of known) {
    assert.equal(editDistance(left, right), distance, `${left} ${right}`);
  }
});

Deno.test("the distance is symmetric, and 0 only for the same word", () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(fc.property(word, word, (left, right) => {
    assert.equal(editDistance(left, right), editDistance(right, left));
    assert.equal(editDistance(left, right) === 0, left === right);
    assert.ok(editDistance(left, right) <= Math.max(left.length, right.length));
  }));
});

Deno.test("the nearest word is suggested, a far one is not", () => {
  const keys = ["listenPort", "mtu", "name", "privateKey"];
  assert.equal(suggest("listen_port", keys), "listenPort");
  assert.equal(suggest("ListenPorts", keys), "listenPort");
  assert.equal(suggest("privatKey", keys), "privateKey");
  assert.equal(suggest("mut", keys), "mtu");
  assert.equal(suggest("colour", keys), undefined);
  assert.equal(suggest("x", []), undefined);
});
