/** The MSS option: found wherever it stands, lowered with the checksum kept right. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ChecksumForm } from "../../../src/core/wire/checksum.ts";
import { clampMss, mssAt } from "../../../src/core/wire/tcp.ts";
import {
  partialSegment,
  readSegment,
  segment,
  SYN,
  tcpStart,
} from "../flow/segments.ts";

const ENDS = { from: "10.8.0.2", to: "192.0.2.7", fromPort: 1, toPort: 2 };
const ENDS6 = {
  ...ENDS,
  from: "fd00:8:0:0:0:0:0:2",
  to: "2001:db8:0:0:0:0:0:7",
};
const LINUX = [2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];

interface Case {
  readonly name: string;
  readonly tcpOptions: readonly number[];
  /** Where the value stands behind the header, or -1. */
  readonly at: number;
}

const CASES: Case[] = [
  { name: "none", tcpOptions: [], at: -1 },
  { name: "alone", tcpOptions: [2, 4, 5, 180], at: 2 },
  { name: "as Linux sends it", tcpOptions: LINUX, at: 2 },
  { name: "at an odd place", tcpOptions: [1, 2, 4, 5, 180, 1, 1, 0], at: 3 },
  { name: "behind another", tcpOptions: [3, 3, 7, 2, 4, 5, 180, 0], at: 5 },
  { name: "behind the end", tcpOptions: [0, 0, 0, 0, 2, 4, 5, 180], at: -1 },
  { name: "of another length", tcpOptions: [2, 3, 5, 0], at: -1 },
  { name: "cut off", tcpOptions: [1, 1, 1, 2], at: -1 },
  { name: "longer than the header", tcpOptions: [1, 1, 2, 4], at: -1 },
  {
    name: "behind a length of 0",
    tcpOptions: [8, 0, 1, 1, 2, 4, 5, 180],
    at: -1,
  },
  {
    name: "behind a length of 1",
    tcpOptions: [8, 1, 1, 1, 2, 4, 5, 180],
    at: -1,
  },
];

for (const { name, tcpOptions, at } of CASES) {
  Deno.test(`an MSS option ${name}`, () => {
    for (const ends of [ENDS, ENDS6]) {
      const packet = segment({ ...ends, flags: SYN, tcpOptions });
      const tcp = tcpStart(packet);
      const length = packet.length - tcp;
      assert.equal(mssAt(packet, tcp, length), at < 0 ? -1 : tcp + 20 + at);
      clampMss(packet, tcp, length, 1380);
      const clamped = tcpOptions.slice();
      if (at >= 0) [clamped[at], clamped[at + 1]] = [1380 >> 8, 1380 & 255];
      assert.deepEqual(
        packet,
        segment({ ...ends, flags: SYN, tcpOptions: clamped }),
      );
    }
  });
}

Deno.test("an MSS is lowered, never raised", () => {
  for (const [mss, expected] of [[1459, 1459], [1460, 1460], [1461, 1460]]) {
    const tcpOptions = [2, 4, mss >> 8, mss & 255];
    const packet = segment({ ...ENDS, flags: SYN, tcpOptions });
    clampMss(packet, 20, packet.length - 20, 1460);
    assert.equal(readSegment([...packet]).mss, expected);
  }
});

Deno.test("a partial checksum covers no options", () => {
  const packet = partialSegment({ ...ENDS, flags: SYN, tcpOptions: LINUX });
  clampMss(packet, 20, packet.length - 20, 1000, ChecksumForm.Partial);
  const clamped = [2, 4, 1000 >> 8, 1000 & 255, ...LINUX.slice(4)];
  assert.deepEqual(
    packet,
    partialSegment({ ...ENDS, flags: SYN, tcpOptions: clamped }),
  );
});

Deno.test("any bytes for options: nothing throws, and the checksum stays as right as it was", () => {
  const options = fc.array(
    fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 4)),
    { maxLength: 40 },
  ).map((bytes) => bytes.slice(0, bytes.length & ~3));
  fc.assert(fc.property(options, fc.nat(0xffff), (tcpOptions, mss) => {
    const packet = segment({ ...ENDS, flags: SYN, tcpOptions });
    clampMss(packet, 20, packet.length - 20, mss);
    readSegment([...packet]);
    const at = mssAt(packet, 20, packet.length - 20);
    if (at >= 0) {
      assert.ok(packet[at] * 256 + packet[at + 1] <= Math.max(mss, 0));
    }
  }));
});

Deno.test("a header longer than what is at hand", () => {
  const packet = segment({ ...ENDS, flags: SYN, tcpOptions: LINUX });
  packet[32] = 0xf0;
  for (let length = 20; length <= packet.length - 20; length++) {
    assert.ok(mssAt(packet, 20, length) < 20 + length - 1);
  }
});
