import assert from "node:assert/strict";
import {
  emit,
  etherType,
  formatMac,
  FrameKind,
  frameKind,
  headerLength,
  turnRound,
} from "../../../src/core/wire/ethernet.ts";

const MACS = "020000000001" + "020000000002";

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (two) => parseInt(two, 16));
}

const FRAMES = [
  ["IPv4", "0800", 14, FrameKind.Ip],
  ["IPv6", "86dd", 14, FrameKind.Ip],
  ["tagged IPv4", "8100" + "0064" + "0800", 18, FrameKind.Ip],
  ["ARP", "0806", 14, FrameKind.Other],
  ["a length, not a type", "0026", 14, FrameKind.Other],
  ["tag in a tag", "8100" + "0064" + "8100", 18, FrameKind.Wrapped],
  ["outer tag", "88a8", 14, FrameKind.Wrapped],
  ["MPLS", "8847", 14, FrameKind.Wrapped],
  ["PPP session", "8864", 14, FrameKind.Wrapped],
] as const;

for (const [name, types, header, kind] of FRAMES) {
  Deno.test(`a frame of ${name}`, () => {
    const frame = bytes("ff" + MACS + types + "45000014");
    assert.equal(frameKind(frame, 1, frame.length - 1), kind);
    assert.equal(headerLength(frame, 1), header);
    assert.equal(etherType(frame, 1), parseInt(types.slice(-4), 16));
  });

  Deno.test(`a frame of ${name} that is cut off in its header`, () => {
    const frame = bytes(MACS + types + "00000000");
    for (let length = 0; length < header; length++) {
      assert.equal(frameKind(frame, 0, length), FrameKind.Broken);
    }
  });
}

Deno.test("a frame turned round twice is itself", () => {
  const frame = bytes("aa" + MACS + "0800");
  const before = frame.slice();
  turnRound(frame, 1);
  assert.equal(formatMac(frame, 1), "02:00:00:00:00:02");
  assert.equal(formatMac(frame, 7), "02:00:00:00:00:01");
  turnRound(frame, 1);
  assert.deepEqual(frame, before);
});

Deno.test("a header written for either version", () => {
  const frame = new Uint8Array(15);
  emit(frame, 1, bytes(MACS), 6, 0, 4);
  assert.deepEqual(frame, bytes("00" + "020000000002020000000001" + "0800"));
  emit(frame, 1, bytes(MACS), 0, 6, 6);
  assert.deepEqual(frame, bytes("00" + MACS + "86dd"));
});
