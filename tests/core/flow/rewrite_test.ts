/** Rewritten packets against packets that were built anew with the other ends. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { rewriteIpv4, rewriteIpv6 } from "../../../src/core/flow/rewrite.ts";
import { ChecksumForm } from "../../../src/core/wire/checksum.ts";
import { addressWords, pattern } from "./packets.ts";
import { ACK, partialSegment, segment, tcpStart } from "./segments.ts";

const AT = 37;

const address4 = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 })
  .map((bytes) => bytes.join("."));
const address6 = fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.map((group) => group.toString(16)).join(":"));
const port = fc.nat(0xffff);

function rewritten(
  packet: Uint8Array,
  ends: { from: string; to: string; fromPort: number; toPort: number },
  form: ChecksumForm,
): number[] {
  const bytes = new Uint8Array(AT + packet.length + 5).fill(0xaa);
  bytes.set(packet, AT);
  const { fromPort, toPort } = ends;
  const from = addressWords(ends.from);
  const to = addressWords(ends.to);
  const tcpAt = AT + tcpStart(packet);
  if (ends.from.includes(":")) {
    rewriteIpv6(bytes, AT, tcpAt, from, 0, fromPort, to, 0, toPort, form);
  } else {
    rewriteIpv4(bytes, AT, tcpAt, from[3], fromPort, to[3], toPort, form);
  }
  assert.ok(bytes.subarray(0, AT).every((byte) => byte === 0xaa));
  assert.ok(bytes.subarray(AT + packet.length).every((byte) => byte === 0xaa));
  return [...bytes.subarray(AT, AT + packet.length)];
}

for (
  const [family, address] of [["IPv4", address4], ["IPv6", address6]] as const
) {
  const ends = fc.record({
    from: address,
    to: address,
    fromPort: port,
    toPort: port,
  });
  const rest = fc.record({
    seq: fc.nat(0xffffffff),
    ack: fc.nat(0xffffffff),
    flags: fc.nat(255),
    hopLimit: fc.nat(255),
    data: fc.array(fc.nat(255), { maxLength: 40 }),
  });

  Deno.test(`${family}: a rewritten packet is the packet built anew`, () => {
    fc.assert(fc.property(ends, ends, rest, (before, after, segmentRest) => {
      for (
        const [form, build] of [
          [ChecksumForm.Whole, segment],
          [ChecksumForm.Partial, partialSegment],
        ] as const
      ) {
        const packet = build({ ...segmentRest, ...before });
        assert.deepEqual(
          rewritten(packet, after, form),
          [...build({ ...segmentRest, ...after })],
        );
      }
    }));
  });

  Deno.test(`${family}: there and back gives what it was`, () => {
    fc.assert(fc.property(ends, ends, rest, (before, after, segmentRest) => {
      const packet = segment({ ...segmentRest, ...before });
      const there = Uint8Array.from(
        rewritten(packet, after, ChecksumForm.Whole),
      );
      assert.deepEqual(rewritten(there, before, ChecksumForm.Whole), [
        ...packet,
      ]);
    }));
  });
}

Deno.test("super-packets of 65,535 bytes, with checksums whole and partial", () => {
  for (
    const [from, to, header] of [
      ["10.8.0.2", "192.0.2.7", 40],
      ["fd00:8:0:0:0:0:0:2", "2001:db8:0:0:0:0:0:7", 60],
    ] as const
  ) {
    const data = pattern((header === 40 ? 65_535 : 65_575) - header);
    const common = { flags: ACK, seq: 1, ack: 2, data };
    const before = { from, to, fromPort: 40_000, toPort: 443 };
    const after = { from: to, to: from, fromPort: 1, toPort: 65_535 };
    for (
      const [form, build] of [
        [ChecksumForm.Whole, segment],
        [ChecksumForm.Partial, partialSegment],
      ] as const
    ) {
      const packet = build({ ...common, ...before });
      assert.deepEqual(
        rewritten(packet, after, form),
        [...build({ ...common, ...after })],
      );
    }
  }
});

Deno.test("IPv4 options between the headers stay as they are", () => {
  const options = [7, 7, 4, 0, 0, 0, 0, 0];
  const before = { from: "10.8.0.2", to: "192.0.2.7", fromPort: 1, toPort: 2 };
  const after = { from: "1.2.3.4", to: "5.6.7.8", fromPort: 3, toPort: 4 };
  const packet = segment({ ...before, flags: ACK, options });
  assert.deepEqual(
    rewritten(packet, after, ChecksumForm.Whole),
    [...segment({ ...after, flags: ACK, options })],
  );
});

Deno.test("a wrong checksum stays as wrong as it was", () => {
  const before = { from: "10.8.0.2", to: "192.0.2.7", fromPort: 1, toPort: 2 };
  const after = { from: "1.2.3.4", to: "5.6.7.8", fromPort: 3, toPort: 4 };
  const packet = segment({ ...before, flags: ACK, data: [1, 2, 3, 4] });
  packet[40] ^= 1;
  const right = [...segment({ ...after, flags: ACK, data: [1, 2, 3, 4] })];
  right[40] ^= 1;
  assert.deepEqual(rewritten(packet, after, ChecksumForm.Whole), right);
});
