import assert from "node:assert/strict";
import {
  SEND_COUNTER_LIMIT,
  type SessionKeys,
  SessionState,
  SessionTable,
} from "../../../src/core/wireguard/session_table.ts";
import { assertNoAllocation } from "./allocation.ts";
import { Random } from "./hex.ts";

const random = new Random(1);

function table(capacity: number): SessionTable {
  const buffer = new SharedArrayBuffer(SessionTable.byteLength(capacity));
  return new SessionTable(buffer, capacity);
}

function keys(now = 1): SessionKeys {
  return {
    remoteIndex: random.next(),
    initiator: true,
    now,
    sendKey: random.bytes(32),
    receiveKey: random.bytes(32),
  };
}

Deno.test("a session is found by its index and by nothing near it", () => {
  const sessions = table(16);
  const given = keys(7);
  const slot = sessions.install(3, 0xdeadbeef, SessionState.Confirmed, given);
  const index = sessions.receiverIndex[slot] >>> 0;
  assert.equal(index >>> 4, 0xdeadbeef >>> 4);
  assert.equal(index & 15, slot);
  assert.equal(sessions.lookup(index), slot);
  assert.equal(sessions.lookup(index | 0), slot, "signed or not");
  for (let bit = 0; bit < 32; bit++) {
    assert.equal(sessions.lookup(index ^ (1 << bit)), -1, `bit ${bit}`);
  }
  assert.equal(sessions.peer[slot], 3);
  assert.equal(sessions.createdAt[slot], 7);
  assert.equal(sessions.remoteIndex[slot] >>> 0, given.remoteIndex);
  assert.deepEqual(sessions.sendKey(slot), given.sendKey);
  assert.deepEqual(sessions.receiveKey(slot), given.receiveKey);
});

Deno.test("a reserved slot is found by handshakes only", () => {
  const sessions = table(4);
  const slot = sessions.reserve(0, 0x12345678);
  const index = sessions.receiverIndex[slot];
  assert.equal(sessions.lookup(index), -1);
  assert.equal(sessions.lookupReserved(index), slot);
  assert.equal(sessions.lookupReserved(index ^ 0x100), -1);
  sessions.establish(slot, SessionState.Confirmed, keys());
  assert.equal(sessions.lookup(index), slot);
  assert.equal(sessions.lookupReserved(index), -1);
});

Deno.test("a released slot is forgotten, erased, and reused last", () => {
  const sessions = table(4);
  const first = sessions.install(0, 1, SessionState.Confirmed, keys());
  const index = sessions.receiverIndex[first];
  const generation = sessions.generation[first];
  sessions.release(first);
  assert.equal(sessions.lookup(index), -1);
  assert.notEqual(sessions.generation[first], generation);
  assert.deepEqual(sessions.sendKey(first), new Uint8Array(32));
  assert.deepEqual(sessions.receiveKey(first), new Uint8Array(32));
  sessions.release(first);
  assert.equal(sessions.freeCount, 4, "released once only");
  const order = [0, 0, 0, 0].map(() => sessions.reserve(0, 0));
  assert.equal(order[3], first);
  assert.equal(new Set(order).size, 4);
  assert.equal(sessions.reserve(0, 0), -1, "full");
});

Deno.test("an unconfirmed session is confirmed by one caller", () => {
  const sessions = table(4);
  const slot = sessions.install(0, 9, SessionState.Unconfirmed, keys());
  assert.equal(sessions.lookup(sessions.receiverIndex[slot]), slot);
  assert.ok(sessions.confirm(slot));
  assert.ok(!sessions.confirm(slot));
  assert.equal(sessions.state[slot], SessionState.Confirmed);
});

Deno.test("counters are given out once and end before they wrap", () => {
  const sessions = table(2);
  const slot = sessions.install(0, 9, SessionState.Confirmed, keys());
  assert.equal(sessions.reserveCounters(slot, 1), 0);
  assert.equal(sessions.reserveCounters(slot, 64), 1);
  assert.equal(sessions.reserveCounters(slot, 1), 65);
  sessions.sendCounter[slot] = 2 ** 31 - 1;
  assert.equal(sessions.reserveCounters(slot, 2), 2 ** 31 - 1);
  assert.equal(sessions.reserveCounters(slot, 1), 2 ** 31 + 1);
  sessions.sendCounter[slot] = SEND_COUNTER_LIMIT - 2;
  assert.equal(sessions.reserveCounters(slot, 3), -1);
  assert.equal(sessions.reserveCounters(slot, 2), SEND_COUNTER_LIMIT - 2);
  assert.equal(sessions.reserveCounters(slot, 1), -1);
  sessions.establish(slot, SessionState.Confirmed, keys());
  assert.equal(
    sessions.reserveCounters(slot, 1),
    0,
    "a new session begins at 0",
  );
});

Deno.test("a new session in a slot has an empty replay window", () => {
  const sessions = table(1);
  const slot = sessions.install(0, 9, SessionState.Confirmed, keys());
  assert.ok(sessions.acceptCounter(slot, 100_000));
  assert.ok(!sessions.acceptCounter(slot, 0));
  sessions.release(slot);
  sessions.install(0, 9, SessionState.Confirmed, keys());
  assert.ok(sessions.acceptCounter(slot, 0));
});

Deno.test("another thread's table over the same buffer sees the same rows", () => {
  const buffer = new SharedArrayBuffer(SessionTable.byteLength(8));
  const control = new SessionTable(buffer, 8);
  const worker = new SessionTable(buffer, 8);
  const given = keys();
  const slot = control.install(5, 77, SessionState.Unconfirmed, given);
  assert.equal(worker.lookup(control.receiverIndex[slot]), slot);
  assert.deepEqual(worker.receiveKey(slot), given.receiveKey);
  assert.ok(worker.confirm(slot));
  assert.ok(!control.confirm(slot));
  assert.equal(worker.reserveCounters(slot, 3), 0);
  assert.equal(control.reserveCounters(slot, 1), 3);
});

Deno.test("a capacity that is no power of two is refused", () => {
  for (const capacity of [0, 3, 6, 2 ** 21, 1.5]) {
    assert.throws(
      () => new SessionTable(new ArrayBuffer(0), capacity),
      RangeError,
    );
  }
});

Deno.test("looking up, accepting and reserving allocate nothing", () => {
  const sessions = table(64);
  const slot = sessions.install(0, 1, SessionState.Confirmed, keys());
  const index = sessions.receiverIndex[slot] >>> 0;
  let counter = 0;
  assertNoAllocation(() => {
    if (sessions.lookup(index) !== slot) throw new Error("not found");
    sessions.acceptCounter(slot, counter++);
    sessions.reserveCounters(slot, 1);
    sessions.confirm(slot);
  });
});
