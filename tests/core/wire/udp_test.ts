import assert from "node:assert/strict";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import { writeU16be } from "../../../src/core/wire/bytes.ts";
import { pseudoHeader4 } from "../../../src/core/wire/checksum.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../../src/core/wire/transport_checksum.ts";
import * as udp from "../../../src/core/wire/udp.ts";
import { toHex, UDP4_DNS } from "./packets.ts";

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

Deno.test("a checksum that comes out as 0 is sent as 0xffff", () => {
  const b = UDP4_DNS.bytes.slice();
  // The source port that brings the folded sum to 0xffff: checksum 0.
  const port = (udp.sourcePort(b, AT) + udp.headerChecksum(b, AT)) % 0xffff;
  writeU16be(b, AT + udp.SOURCE_PORT_AT, port);
  udp.updateChecksum(b, AT, pseudoHeader4(0x0a080001, 0x0a080002, 17, 37));
  assert.equal(udp.headerChecksum(b, AT), 0xffff);
  assert.equal(verify(b), DropReason.None);
});
