import assert from "node:assert/strict";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import { pseudoHeader6 } from "../../../src/core/wire/checksum.ts";
import * as icmp from "../../../src/core/wire/icmp.ts";
import * as icmpv6 from "../../../src/core/wire/icmpv6.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../../src/core/wire/transport_checksum.ts";
import { hex, ICMP4_ECHO, ICMP6_ECHO, toHex } from "./packets.ts";

const AT4 = 20;
const AT6 = 40;

function verify(b: Uint8Array): DropReason {
  const view = new PacketView();
  return parsePacket(b, 0, b.length, view) || verifyTransport(b, view);
}

Deno.test("every field of an echo is read", () => {
  const four = ICMP4_ECHO.bytes;
  assert.equal(icmp.validate(four, AT4, 24), DropReason.None);
  assert.equal(icmp.validate(four, AT4, 7), DropReason.TooShort);
  assert.equal(icmp.type(four, AT4), icmp.Type.EchoRequest);
  assert.equal(icmp.code(four, AT4), 0);
  assert.equal(icmp.headerChecksum(four, AT4), 0x6906);
  assert.equal(icmp.identifier(four, AT4), 0x4bad);
  assert.equal(icmp.sequence(four, AT4), 1);
  const six = ICMP6_ECHO.bytes;
  assert.equal(icmpv6.validate(six, AT6, 24), DropReason.None);
  assert.equal(icmpv6.validate(six, AT6, 7), DropReason.TooShort);
  assert.equal(icmpv6.type(six, AT6), icmpv6.Type.EchoRequest);
  assert.equal(icmpv6.code(six, AT6), 0);
  assert.equal(icmpv6.headerChecksum(six, AT6), 0x953d);
  assert.equal(icmpv6.identifier(six, AT6), 0x4bae);
  assert.equal(icmpv6.sequence(six, AT6), 1);
});

Deno.test("emit writes what the kernel wrote", () => {
  const four = ICMP4_ECHO.bytes.slice();
  four.fill(0xee, AT4, AT4 + 8);
  icmp.emit(four, AT4, icmp.Type.EchoRequest, 0, 0x4bad0001, 24);
  assert.equal(toHex(four), toHex(ICMP4_ECHO.bytes));
  const six = ICMP6_ECHO.bytes.slice();
  six.fill(0xee, AT6, AT6 + 8);
  const pseudo = pseudoHeader6(six, 8, 24, 58, 24);
  icmpv6.emit(six, AT6, icmpv6.Type.EchoRequest, 0, 0x4bae0001, 24, pseudo);
  assert.equal(toHex(six), toHex(ICMP6_ECHO.bytes));
});

Deno.test("identifier and type change with the checksum kept right", () => {
  for (const identifier of [0, 1, 0x4bac, 0xffff]) {
    const four = ICMP4_ECHO.bytes.slice();
    icmp.setIdentifier(four, AT4, identifier);
    icmp.setType(four, AT4, icmp.Type.EchoReply, 0);
    assert.equal(verify(four), DropReason.None);
    assert.equal(icmp.identifier(four, AT4), identifier);
    assert.equal(icmp.type(four, AT4), 0);
    const six = ICMP6_ECHO.bytes.slice();
    icmpv6.setIdentifier(six, AT6, identifier);
    icmpv6.setType(six, AT6, icmpv6.Type.EchoReply, 0);
    assert.equal(verify(six), DropReason.None);
    assert.equal(icmpv6.identifier(six, AT6), identifier);
    assert.equal(icmpv6.type(six, AT6), 129);
  }
});

Deno.test("errors are told from queries", () => {
  const errors4 = [3, 4, 5, 11, 12];
  const errors6 = [0, 1, 2, 3, 4, 100, 127];
  for (let type = 0; type < 256; type++) {
    assert.equal(icmp.isError(type), errors4.includes(type), `${type}`);
    assert.equal(icmp.isEcho(type), type === 0 || type === 8, `${type}`);
    assert.equal(icmpv6.isEcho(type), type === 128 || type === 129);
    if (type >= 128 || errors6.includes(type)) {
      assert.equal(icmpv6.isError(type), type < 128);
    }
  }
});

Deno.test("the MTU of an error is read", () => {
  const four = hex("03 04 0000 0000 05dc");
  assert.equal(icmp.nextHopMtu(four, 0), 1500);
  assert.equal(icmp.extra(four, 0), 1500);
  assert.equal(icmpv6.extra(hex("02 00 0000 00000500"), 0), 1280);
});

Deno.test("types have names", () => {
  assert.equal(icmp.formatType(8, 0), "echo request");
  assert.equal(icmp.formatType(3, 4), "fragmentation needed");
  assert.equal(icmp.formatType(3, 1), "destination unreachable (1)");
  assert.equal(icmp.formatType(200, 7), "type 200 code 7");
  assert.equal(icmpv6.formatType(2, 0), "packet too big");
  assert.equal(icmpv6.formatType(200, 7), "type 200 code 7");
});
