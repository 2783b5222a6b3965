import assert from "node:assert/strict";
import { buildDatagram } from "../../../src/core/flow/datagram.ts";
import { addressWords, pattern, udpPacket } from "./packets.ts";

/** A packet without what IPv4 leaves to whoever builds it. */
function comparable(packet: Uint8Array): number[] {
  const bytes = [...packet];
  if (bytes[0] >> 4 === 4) bytes.splice(4, 8, bytes[8], bytes[9]);
  return bytes;
}

const ENDS = [
  ["10.8.0.1", "10.8.0.2"],
  ["fd00:8:0:0:0:0:0:1", "fd00:8:0:0:0:0:0:2"],
] as const;

for (const [from, to] of ENDS) {
  Deno.test(`a datagram from ${from} is as the slow builder makes it`, () => {
    for (const length of [0, 1, 2, 7, 100, 1232, 60_000]) {
      const payload = pattern(length, length);
      const packet = buildDatagram(
        { words: addressWords(from), port: 53 },
        { words: addressWords(to), port: 40_000 + length % 1000 },
        Uint8Array.from(payload),
      );
      const slow = udpPacket(
        { from, to, fromPort: 53, toPort: 40_000 + length % 1000 },
        payload,
      );
      assert.deepEqual(comparable(packet), comparable(slow));
    }
  });
}

Deno.test("a checksum that comes out as 0 is sent as 0xffff", () => {
  const build = (last: number) =>
    buildDatagram(
      { words: addressWords("10.8.0.1"), port: 53 },
      { words: addressWords("10.8.0.2"), port: 5353 },
      Uint8Array.of(last >> 8, last),
    );
  const sums = new Set<number>();
  for (let last = 0; last < 65536; last++) {
    const packet = build(last);
    sums.add(packet[26] << 8 | packet[27]);
  }
  assert.ok(!sums.has(0));
  assert.ok(sums.has(0xffff));
});
