import assert from "node:assert/strict";
import { TunnelDestinations } from "../../../../src/io/os/shared/tunnel_destinations.ts";
import { TunnelSocketSources } from "../../../../src/io/os/shared/tunnel_socket_sources.ts";

const A = Int32Array.of(0, 0, 0xffff, 0x0a000001);
const B = Int32Array.of(0, 0, 0xffff, 0x0a000002);
const OURS = Int32Array.of(0, 0, 0xffff, 0x0a0000fe);
const PORT = 51820;

function known() {
  const { BYTE_LENGTH } = TunnelSocketSources;
  const sources = new TunnelSocketSources(new SharedArrayBuffer(BYTE_LENGTH));
  sources.learn(A, 0, PORT, OURS, 0);
  return new TunnelDestinations(8, sources);
}

/** Queues a message. */
function send(all: TunnelDestinations, message: number, to: Int32Array) {
  const destination = all.of(to, 0, PORT);
  all.note(message, destination);
  return destination;
}

Deno.test("messages that follow each other to one remote have one destination", () => {
  const all = known();
  const seen = [A, A, B, A].map((to, message) => send(all, message, to));
  assert.deepEqual(seen, [0, 0, 1, 2]);
  assert.equal(all.of(A, 0, PORT + 1), 3);
  assert.deepEqual([...all.words.subarray(0, 4)], [...A]);
  all.clear();
  assert.equal(all.of(B, 0, PORT), 0);
});

Deno.test("the source is the address that the remote wrote to; without one the system chooses", () => {
  const all = known();
  assert.equal(all.findSource(send(all, 0, A)), true);
  assert.deepEqual([...all.source], [...OURS]);
  assert.equal(all.findSource(send(all, 1, B)), false);
  const none = new TunnelDestinations(8, undefined);
  assert.equal(none.findSource(none.of(A, 0, PORT)), false);
  assert.equal(none.refuseSource(0), false);
});

Deno.test("a refused source is not tried again, unless it was not the reason", () => {
  const all = known();
  const destination = send(all, 0, A);
  all.begin();
  assert.equal(all.refuseSource(0), true);
  assert.equal(all.findSource(destination), false);
  assert.equal(all.refuseSource(0), false, "it has none any more");
  all.fail(0);
  assert.equal(all.findSource(destination), true, "it failed without, too");
  assert.equal(all.takeFailed(), 1);
  assert.equal(all.takeFailed(), 0);
});

Deno.test("a failure of another message says nothing of the source", () => {
  const all = known();
  const destination = send(all, 0, A);
  send(all, 1, B);
  all.begin();
  all.refuseSource(0);
  all.fail(1);
  assert.equal(all.findSource(destination), false);
});
