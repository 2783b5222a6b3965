import assert from "node:assert/strict";
import {
  DropReason,
  dropReasonText,
} from "../../../src/core/columns/drop_reason.ts";
import * as ipv6 from "../../../src/core/wire/ipv6.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import {
  FragmentKind,
  PacketView,
} from "../../../src/core/wire/packet_view.ts";
import { Protocol } from "../../../src/core/wire/protocol.ts";
import {
  updateTransport,
  verifyTransport,
} from "../../../src/core/wire/transport_checksum.ts";
import {
  concat,
  hex,
  SAMPLES,
  UDP4_DNS,
  UDP4_NO_CHECKSUM,
  UDP6,
} from "./packets.ts";

/** Where each transport header has its checksum. */
const CHECKSUM_AT: Readonly<Record<number, number>> = {
  [Protocol.Tcp]: 16,
  [Protocol.Udp]: 6,
  [Protocol.Icmp]: 2,
  [Protocol.Icmpv6]: 2,
};

function parse(bytes: Uint8Array): PacketView {
  const view = new PacketView();
  const reason = parsePacket(bytes, 0, bytes.length, view);
  assert.equal(dropReasonText(reason), "none");
  return view;
}

for (const { name, bytes } of SAMPLES) {
  const whole = parse(bytes);

  Deno.test(`what a kernel sent is right: ${name}`, () => {
    assert.equal(verifyTransport(bytes, whole), DropReason.None);
  });

  if (whole.fragment !== FragmentKind.None) {
    Deno.test(`a fragment passes, and stays as it is: ${name}`, () => {
      const b = bytes.slice();
      b[b.length - 1] ^= 1;
      const before = b.slice();
      assert.equal(verifyTransport(b, whole), DropReason.None);
      updateTransport(b, whole);
      assert.deepEqual(b, before);
    });
    continue;
  }

  Deno.test(`a checksum is made again as the kernel made it: ${name}`, () => {
    if (bytes === UDP4_NO_CHECKSUM.bytes) return;
    const b = bytes.slice();
    const at = whole.payloadAt + CHECKSUM_AT[whole.protocol];
    b[at] ^= 0x5a;
    b[at + 1] ^= 0xa5;
    assert.equal(verifyTransport(b, whole), DropReason.BadChecksum);
    updateTransport(b, whole);
    assert.deepEqual(b, bytes);
  });

  Deno.test(`every flipped bit behind the IP header is found: ${name}`, () => {
    if (bytes === UDP4_NO_CHECKSUM.bytes) return;
    const view = new PacketView();
    for (let bit = whole.payloadAt * 8; bit < bytes.length * 8; bit++) {
      const b = bytes.slice();
      b[bit >> 3] ^= 1 << (bit & 7);
      const reason = parsePacket(b, 0, b.length, view) ||
        verifyTransport(b, view);
      assert.notEqual(reason, DropReason.None, `bit ${bit}`);
    }
  });
}

Deno.test("a datagram shorter than its packet is verified at its own length", () => {
  const b = concat(UDP6.bytes, hex("ffff"));
  ipv6.setPayloadLength(b, 0, 19);
  const view = parse(b);
  assert.equal(verifyTransport(b, view), DropReason.None);
});

Deno.test("a UDP checksum of 0 is none in IPv4 and bad in IPv6", () => {
  const four = UDP4_NO_CHECKSUM.bytes;
  assert.equal(verifyTransport(four, parse(four)), DropReason.None);
  const six = UDP6.bytes.slice();
  six[46] = 0;
  six[47] = 0;
  assert.equal(verifyTransport(six, parse(six)), DropReason.BadChecksum);
});

Deno.test("other protocols pass, and stay as they are", () => {
  const b = UDP4_DNS.bytes.slice();
  const view = parse(b);
  view.protocol = 47;
  b[b.length - 1] ^= 1;
  const before = b.slice();
  assert.equal(verifyTransport(b, view), DropReason.None);
  updateTransport(b, view);
  assert.deepEqual(b, before);
});
