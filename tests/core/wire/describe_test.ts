import assert from "node:assert/strict";
import { describePacket } from "../../../src/core/wire/describe.ts";
import {
  concat,
  hex,
  RESETS,
  SAMPLES,
  TCP4_SYN,
  UNREACHABLES,
} from "./packets.ts";

Deno.test("packets read as one line", () => {
  for (const { bytes, text } of SAMPLES) {
    assert.equal(describePacket(bytes, 0, bytes.length), text);
    const padded = concat(hex("ee"), bytes, hex("0000"));
    assert.equal(describePacket(padded, 1, bytes.length + 2), text);
  }
  assert.equal(
    describePacket(RESETS[0].answered, 0, 40),
    "TCP 10.8.0.1:81 -> 10.8.0.2:40000 RST ACK 40 bytes",
  );
  assert.equal(
    describePacket(UNREACHABLES[0].answered, 0, 67),
    "ICMP 10.8.0.1 -> 10.8.0.2 destination unreachable (3) 67 bytes",
  );
});

Deno.test("what is no packet reads as the reason why", () => {
  assert.equal(
    describePacket(TCP4_SYN.bytes, 0, 10),
    "packet too short, 10 bytes",
  );
  assert.equal(describePacket(hex("00"), 0, 1), "unknown IP version, 1 bytes");
  assert.equal(describePacket(hex(""), 0, 0), "packet too short, 0 bytes");
  assert.equal(describePacket(hex(""), 7, 9), "packet too short, 9 bytes");
});
