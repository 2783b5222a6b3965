/** The shared memory of a poll set on Windows; it is plain memory to its tests. */
import assert from "node:assert/strict";
import {
  AfdSlots,
  SlotState,
  SlotWord,
} from "../../../../src/io/os/windows/afd_slots.ts";

const CAPACITY = 64;

function open(): AfdSlots {
  const buffer = new ArrayBuffer(AfdSlots.byteLength(CAPACITY));
  AfdSlots.prepare(buffer, 7, CAPACITY);
  assert.equal(AfdSlots.capacityOf(buffer), CAPACITY);
  return new AfdSlots(buffer, 0x7f00_0000_0000);
}

function setState(slots: AfdSlots, slot: number, state: number): void {
  slots.words[slots.at(slot) + SlotWord.State] = state;
}

Deno.test("each socket has a slot of its own, found whatever came and went", () => {
  const slots = open();
  assert.equal(slots.port, 7);
  const known = new Map<number, number>();
  let seed = 1;
  const random = (n: number) => {
    seed = Math.imul(seed, 1_103_515_245) + 12_345 >>> 0;
    return (seed >>> 8) % n;
  };
  for (let step = 0; step < 20_000; step++) {
    const socket = 4 * (1 + random(1000));
    const slot = known.get(socket);
    assert.equal(slots.find(socket), slot ?? -1, `step ${step}`);
    if (slot !== undefined) {
      setState(slots, slot, SlotState.Free);
      known.delete(socket);
    } else {
      const taken = slots.take(socket);
      assert.equal(taken < 0, known.size === CAPACITY);
      if (taken < 0) continue;
      assert.ok(![...known.values()].includes(taken));
      setState(slots, taken, SlotState.Armed);
      known.set(socket, taken);
    }
  }
});

Deno.test("a slot that is given up is not found, nor taken before it is free", () => {
  const slots = open();
  const slot = slots.take(400);
  assert.equal(slots.find(400), -1, "still being filled");
  setState(slots, slot, SlotState.Armed);
  assert.equal(slots.find(400), slot);
  setState(slots, slot, SlotState.Ending);
  assert.equal(slots.find(400), -1);
  const again = slots.take(400);
  assert.notEqual(again, slot);
  setState(slots, again, SlotState.Idle);
  assert.equal(slots.find(400), again);
});

Deno.test("slots, groups, events and due slots don't overlap", () => {
  const slots = open();
  const used = new Set<number>();
  const claim = (at: number, words: number, what: string) => {
    for (let i = at; i < at + words; i++) {
      assert.ok(!used.has(i) && i < slots.words.length, `${what} at ${i}`);
      used.add(i);
    }
  };
  for (let event = 0; event < 8; event++) {
    claim(slots.eventAt(event), 4, "event");
  }
  for (let slot = 0; slot < CAPACITY; slot += 32) {
    claim(slots.groupAt(slot), 1, "group");
  }
  for (let slot = 0; slot < CAPACITY; slot++) claim(slots.at(slot), 32, "slot");
  // Due slots lie in what is left, and none is lost.
  for (let slot = 0; slot < CAPACITY; slot++) slots.makeDue(slot);
  slots.makeDue(0);
  const due = new Set<number>();
  for (let slot = slots.takeDue(); slot >= 0; slot = slots.takeDue()) {
    due.add(slot);
  }
  assert.equal(due.size, CAPACITY);
  assert.equal(slots.port, 7);
  assert.ok([...used].every((i) => slots.words[i] === 0));
});
