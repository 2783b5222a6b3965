/** Two peers on a virtual clock: the stories that must go well every time. */
import assert from "node:assert/strict";
import { Pair } from "./pair.ts";

Deno.test("the first packet waits for the handshake and arrives", () => {
  const pair = new Pair(1);
  const number = pair.send(0);
  pair.run(200);
  assert.ok(pair.hasArrived(0, number));
  assert.deepEqual(pair.end(0).handshakes, ["established"]);
  assert.deepEqual(pair.end(1).handshakes, ["established"]);
  const answer = pair.send(1);
  pair.run(100);
  assert.ok(pair.hasArrived(1, answer));
  assert.deepEqual(pair.end(1).handshakes, ["established"]);
});
