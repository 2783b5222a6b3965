import assert from "node:assert/strict";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import { pseudoHeader4 } from "../../../src/core/wire/checksum.ts";
import * as ipv4 from "../../../src/core/wire/ipv4.ts";
import * as tcp from "../../../src/core/wire/tcp.ts";
import {
  concat,
  hex,
  RESETS,
  TCP4_RST,
  TCP4_SYN,
  toHex,
  UDP4_DNS,
} from "./packets.ts";

const AT = 20;

Deno.test("every field is read", () => {
  const b = TCP4_SYN.bytes;
  assert.equal(tcp.validate(b, AT, 40), DropReason.None);
  assert.equal(tcp.sourcePort(b, AT), 45048);
  assert.equal(tcp.destinationPort(b, AT), 443);
  assert.equal(tcp.sequence(b, AT), 0xfab6389f);
  assert.equal(tcp.acknowledgment(b, AT), 0);
  assert.equal(tcp.headerLength(b, AT), 40);
  assert.equal(tcp.flags(b, AT), tcp.Flag.Syn);
  assert.equal(tcp.headerChecksum(b, AT), 0x4745);
});

Deno.test("emit and the checksum write what the kernel wrote", () => {
  const wanted = RESETS[0].asked;
  const b = wanted.slice();
  b.fill(0xee, AT);
  tcp.emit(b, AT, 40000, 81, 0x01020304, 0, tcp.Flag.Syn, 1000);
  tcp.updateChecksum(b, AT, 20, pseudoHeader4(0x0a080002, 0x0a080001, 6, 20));
  assert.equal(toHex(b), toHex(wanted));
});

Deno.test("a data offset too small or past the segment is refused", () => {
  const b = TCP4_SYN.bytes.slice();
  assert.equal(tcp.validate(b, AT, 19), DropReason.TooShort);
  assert.equal(tcp.validate(b, AT, 39), DropReason.BadHeaderLength);
  b[AT + 12] = 0x40;
  assert.equal(tcp.validate(b, AT, 40), DropReason.BadHeaderLength);
  b[AT + 12] = 0xb0;
  assert.equal(tcp.validate(b, AT, 40), DropReason.BadHeaderLength);
});

for (const { name, asked, answered } of RESETS) {
  Deno.test(`a reset is the one that the kernel sends: ${name}`, () => {
    // Ours at another place than 0, and between other bytes.
    const out = new Uint8Array(100).fill(0xee);
    const input = concat(hex("eeeeee"), asked, hex("eeee"));
    const length = tcp.emitReset(out, 7, input, 3);
    const wanted = answered.slice();
    if (wanted[0] === 0x45) {
      ipv4.setFragment(wanted, 0, 0, 0, 0); // the kernel sets DF
      ipv4.updateHeaderChecksum(wanted, 0);
    } else {
      wanted.set(hex("60000000")); // and a flow label
    }
    assert.equal(toHex(out.slice(7, 7 + length)), toHex(wanted));
    assert.ok(out.slice(0, 7).every((byte) => byte === 0xee));
    assert.ok(out.slice(7 + length).every((byte) => byte === 0xee));
  });
}

Deno.test("a reset finds TCP behind IPv6 extension headers", () => {
  const { asked, answered } = RESETS[4];
  const b = concat(
    hex("60000000 001c 00 40"),
    asked.slice(8, 40),
    hex("06 00 0104 00000000"),
    asked.slice(40),
  );
  const out = new Uint8Array(60);
  assert.equal(tcp.emitReset(out, 0, b, 0), 60);
  assert.equal(toHex(out.slice(4)), toHex(answered.slice(4)));
});

Deno.test("no reset answers a RST or what is no TCP", () => {
  const out = new Uint8Array(60);
  assert.equal(tcp.emitReset(out, 0, TCP4_RST, 0), 0);
  const udp6 = hex("60000000 0008 11 40" + "00".repeat(40));
  assert.equal(tcp.emitReset(out, 0, udp6, 0), 0);
  assert.equal(tcp.emitReset(out, 0, UDP4_DNS.bytes, 0), 0);
  const later = RESETS[0].asked.slice();
  ipv4.setFragment(later, 0, 8, 0, 0);
  assert.equal(tcp.emitReset(out, 0, later, 0), 0);
  assert.equal(toHex(out), "00".repeat(60));
});

Deno.test("control bits have names", () => {
  assert.equal(tcp.formatFlags(0), "");
  assert.equal(tcp.formatFlags(0x12), "SYN ACK");
  assert.equal(tcp.formatFlags(0xff), "FIN SYN RST PSH ACK URG ECE CWR");
});
