/** Packets with other ends are what a slow builder makes of those ends from the beginning. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { rewriteEnds } from "../../../src/core/flow/rewrite_ends.ts";
import { ChecksumForm } from "../../../src/core/wire/checksum.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { addressWords, echoPacket, udpPacket } from "./packets.ts";
import { ACK, partialSegment, PSH, segment } from "./segments.ts";

interface Ends {
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
}

const KINDS = {
  tcp: (ends: Ends, data: number[]) =>
    segment({ ...ends, flags: PSH | ACK, seq: 7, ack: 9, data }),
  udp: (ends: Ends, data: number[]) => udpPacket(ends, data),
  echo: (ends: Ends, data: number[]) =>
    echoPacket({ ...ends, id16: ends.fromPort }, data),
} as const;

const octet = fc.nat(255);
const half = fc.nat(0xffff);
const address4 = fc.tuple(octet, octet, octet, octet)
  .map((bytes) => bytes.join("."));
const address6 = fc.array(half, { minLength: 8, maxLength: 8 })
  .map((groups) =>
    ["20", ...groups.slice(1).map((n) => n.toString(16))].join(":")
  );
const ends = (address: fc.Arbitrary<string>): fc.Arbitrary<Ends> =>
  fc.record({ from: address, to: address, fromPort: half, toPort: half });

function rewritten(packet: Uint8Array, to: Ends, form: ChecksumForm) {
  const copy = packet.slice();
  const view = new PacketView();
  assert.equal(parsePacket(copy, 0, copy.length, view), 0);
  rewriteEnds(
    copy,
    view.at,
    view.payloadAt,
    view.payloadLength,
    view.protocol,
    addressWords(to.from),
    0,
    to.fromPort,
    addressWords(to.to),
    0,
    to.toPort,
    form,
  );
  return copy;
}

for (const [kind, build] of Object.entries(KINDS)) {
  for (const [family, address] of [["4", address4], ["6", address6]] as const) {
    Deno.test(`${kind} over IPv${family}`, () => {
      const data = fc.array(octet, { maxLength: 40 });
      fc.assert(
        fc.property(ends(address), ends(address), data, (one, other, bytes) => {
          const packet = rewritten(
            build(one, bytes),
            other,
            ChecksumForm.Whole,
          );
          const expected = build(other, bytes);
          // Two zeros of one's complement: which one it is says nothing.
          for (const at of checksumsOf(expected, kind)) {
            const value = (packet[at] << 8) | packet[at + 1];
            const wanted = (expected[at] << 8) | expected[at + 1];
            assert.equal(value % 0xffff, wanted % 0xffff);
            packet[at] = expected[at];
            packet[at + 1] = expected[at + 1];
          }
          assert.deepEqual([...packet], [...expected]);
        }),
      );
    });
  }
}

function checksumsOf(packet: Uint8Array, kind: string): number[] {
  const isIpv4 = packet[0] >> 4 === 4;
  const at = isIpv4 ? 20 : 40;
  const own = at + (kind === "tcp" ? 16 : kind === "udp" ? 6 : 2);
  return isIpv4 ? [10, own] : [own];
}

Deno.test("a partial checksum stays the sum of the pseudo-header", () => {
  const one = { from: "10.0.0.1", to: "192.0.2.7", fromPort: 1, toPort: 2 };
  const other = { from: "10.9.9.9", to: "192.0.2.9", fromPort: 3, toPort: 4 };
  const build = (ends: Ends) =>
    partialSegment({ ...ends, flags: ACK, seq: 1, ack: 2, data: [1, 2, 3] });
  const packet = rewritten(build(one), other, ChecksumForm.Partial);
  assert.deepEqual([...packet], [...build(other)]);
});

Deno.test("a datagram without a checksum gets none", () => {
  const one = { from: "10.0.0.1", to: "192.0.2.7", fromPort: 1, toPort: 2 };
  const packet = udpPacket(one);
  packet[26] = packet[27] = 0;
  const copy = rewritten(packet, { ...one, from: "10.3.3.3" }, 0);
  assert.deepEqual([copy[26], copy[27]], [0, 0]);
});

Deno.test("a datagram's checksum that comes out as 0 is sent as 0xffff", () => {
  const one = { from: "10.0.0.1", to: "192.0.2.7", fromPort: 0, toPort: 2 };
  const packet = udpPacket(one);
  // The port that brings the folded sum to 0xffff.
  const fromPort = (packet[26] << 8) | packet[27];
  const copy = rewritten(packet, { ...one, fromPort }, ChecksumForm.Whole);
  assert.deepEqual([copy[26], copy[27]], [0xff, 0xff]);
});
