import assert from "node:assert/strict";
import { Ring } from "../../src/core/columns/ring.ts";
import { PendingMessages } from "../../src/cli/pending_messages.ts";
import { waitFor } from "../support/wait.ts";

Deno.test("messages that find no room wait, in their order, and none is lost", async () => {
  const ring = new Ring(new ArrayBuffer(Ring.byteLength(256)), 256);
  let wakes = 0;
  const messages = new PendingMessages(ring, () => wakes++);
  const bytes = new Uint8Array(4);
  for (let n = 0; n < 50; n++) {
    bytes[3] = n;
    messages.post(1, n, -n, bytes);
  }
  const found: number[][] = [];
  await waitFor("all messages", () => {
    ring.read((_kind, a, b, read, at) => found.push([a, b, read[at + 3]]));
    return found.length === 50;
  }, { intervalMs: 1 });
  assert.deepEqual(found, found.map((_, n) => [n, -n || 0, n]));
  assert.ok(wakes > 3);
  messages.stop();
});

Deno.test("what waits when it ends is given up", () => {
  const ring = new Ring(new ArrayBuffer(Ring.byteLength(64)), 64);
  const messages = new PendingMessages(ring, () => {});
  for (let n = 0; n < 5; n++) messages.post(1, n, 0, new Uint8Array(0));
  messages.stop();
});
