import assert from "node:assert/strict";
import fc from "fast-check";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import { pseudoHeader4 } from "../../../src/core/wire/checksum.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../../src/core/wire/transport_checksum.ts";
import * as ipv4 from "../../../src/core/wire/ipv4.ts";
import * as udp from "../../../src/core/wire/udp.ts";
import { toHex, UDP4_DNS, UDP4_NO_CHECKSUM } from "./packets.ts";

const AT = 20;

function verify(b: Uint8Array): DropReason {
  const view = new PacketView();
  return parsePacket(b, 0, b.length, view) || verifyTransport(b, view);
}

Deno.test("every field is read", () => {
  const b = UDP4_DNS.bytes;
  assert.equal(udp.validate(b, AT, 37), DropReason.None);
  assert.equal(udp.sourcePort(b, AT), 57754);
  assert.equal(udp.destinationPort(b, AT), 53);
  assert.equal(udp.datagramLength(b, AT), 37);
  assert.equal(udp.headerChecksum(b, AT), 0x8e86);
});

Deno.test("emit and the checksum write what the kernel wrote", () => {
  const b = UDP4_DNS.bytes.slice();
  b.fill(0xee, AT, AT + 8);
  udp.emit(b, AT, 57754, 53, 37);
  assert.equal(udp.headerChecksum(b, AT), 0);
  udp.updateChecksum(b, AT, pseudoHeader4(0x0a080001, 0x0a080002, 17, 37));
  assert.equal(toHex(b), toHex(UDP4_DNS.bytes));
});

Deno.test("lengths that disagree are told apart", () => {
  const b = UDP4_DNS.bytes.slice();
  assert.equal(udp.validate(b, AT, 7), DropReason.TooShort);
  assert.equal(udp.validate(b, AT, 36), DropReason.BadTotalLength);
  assert.equal(udp.validate(b, AT, 38), DropReason.None);
  b[AT + 5] = 7;
  assert.equal(udp.validate(b, AT, 37), DropReason.BadHeaderLength);
});

Deno.test("ports and addresses change with the checksum kept right", () => {
  const port = fc.oneof(fc.constantFrom(0, 0xffff), fc.nat(0xffff));
  const address = fc.oneof(
    fc.constantFrom(0, 0xffffffff),
    fc.nat(0xffffffff),
  );
  fc.assert(
    fc.property(port, port, address, (from, to, source) => {
      const b = UDP4_DNS.bytes.slice();
      udp.setSourcePort(b, AT, from);
      udp.setDestinationPort(b, AT, to);
      udp.adjustChecksum32(b, AT, ipv4.source(b, 0), source);
      ipv4.replaceSource(b, 0, source);
      assert.equal(verify(b), DropReason.None);
      assert.notEqual(udp.headerChecksum(b, AT), 0);
      assert.equal(udp.sourcePort(b, AT), from);
      assert.equal(udp.destinationPort(b, AT), to);
    }),
    { numRuns: 500 },
  );
});

Deno.test("a checksum that comes out as 0 is sent as 0xffff", () => {
  const b = UDP4_DNS.bytes.slice();
  // The source port that brings the folded sum to 0xffff: checksum 0.
  const port = (udp.sourcePort(b, AT) + udp.headerChecksum(b, AT)) % 0xffff;
  udp.setSourcePort(b, AT, port);
  assert.equal(udp.headerChecksum(b, AT), 0xffff);
  assert.equal(verify(b), DropReason.None);
  udp.updateChecksum(b, AT, pseudoHeader4(0x0a080001, 0x0a080002, 17, 37));
  assert.equal(udp.headerChecksum(b, AT), 0xffff);
  udp.setSourcePort(b, AT, 57754);
  assert.equal(toHex(b), toHex(UDP4_DNS.bytes));
  // The same by a change of 32 bits.
  udp.adjustChecksum32(b, AT, 57754, port);
  assert.equal(udp.headerChecksum(b, AT), 0xffff);
});

Deno.test("no checksum stays none", () => {
  const b = UDP4_NO_CHECKSUM.bytes.slice();
  udp.setSourcePort(b, AT, 1);
  udp.setDestinationPort(b, AT, 2);
  udp.adjustChecksum32(b, AT, 1, 2);
  assert.equal(udp.headerChecksum(b, AT), 0);
});
