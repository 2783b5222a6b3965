import assert from "node:assert/strict";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import * as ipv6 from "../../../src/core/wire/ipv6.ts";
import { Protocol } from "../../../src/core/wire/protocol.ts";
import {
  concat,
  hex,
  TCP6_SYN,
  toHex,
  UDP6,
  UDP6_EXTENSIONS,
  UDP6_FRAGMENT_FIRST,
  UDP6_FRAGMENT_LATER,
} from "./packets.ts";

Deno.test("every field of a header is read, wherever it starts", () => {
  for (const at of [0, 5]) {
    const b = concat(new Uint8Array(at), TCP6_SYN.bytes);
    assert.equal(ipv6.validate(b, at, 80), DropReason.None);
    assert.equal(ipv6.payloadLength(b, at), 40);
    assert.equal(ipv6.nextHeader(b, at), Protocol.Tcp);
    assert.equal(ipv6.hopLimit(b, at), 64);
  }
});

Deno.test("emit writes what the kernel wrote, but for the flow label", () => {
  const b = UDP6.bytes.slice();
  b.fill(0xee, 0, 8);
  ipv6.emit(b, 0, 17, Protocol.Udp, 64);
  assert.equal(toHex(b.slice(0, 8)), "6000000000111140");
  assert.equal(toHex(b.slice(8)), toHex(UDP6.bytes.slice(8)));
  ipv6.setHopLimit(b, 0, 63);
  ipv6.setPayloadLength(b, 0, 18);
  assert.equal(toHex(b.slice(0, 8)), "600000000012113f");
});

Deno.test("fragment headers are read and written", () => {
  const first = UDP6_FRAGMENT_FIRST.bytes;
  const later = UDP6_FRAGMENT_LATER.bytes;
  assert.equal(ipv6.fragmentNextHeader(first, 40), Protocol.Udp);
  assert.equal(ipv6.fragmentOffset(first, 40), 0);
  assert.equal(ipv6.moreFragments(first, 40), true);
  assert.equal(ipv6.fragmentOffset(later, 40), 1448);
  assert.equal(ipv6.moreFragments(later, 40), false);
  assert.equal(ipv6.fragmentIdentification(later, 40), 0xb0fbd790);
  const b = new Uint8Array(16).fill(0xee);
  ipv6.emitFragmentHeader(b, 0, Protocol.Udp, 0, 1, 0xb0fbd790);
  ipv6.emitFragmentHeader(b, 8, Protocol.Udp, 1448, 0, 0xb0fbd790);
  assert.equal(toHex(b.slice(0, 8)), toHex(first.slice(40, 48)));
  assert.equal(toHex(b.slice(8)), toHex(later.slice(40, 48)));
});

Deno.test("each way to be wrong has its reason", () => {
  const good = UDP6.bytes;
  assert.equal(ipv6.validate(good, 0, 0), DropReason.TooShort);
  assert.equal(ipv6.validate(good, 0, 39), DropReason.TooShort);
  assert.equal(ipv6.validate(good, 1, good.length), DropReason.TooShort);
  assert.equal(ipv6.validate(good, 0, 56), DropReason.BadTotalLength);
  const version = good.slice();
  version[0] = 0x70;
  assert.equal(ipv6.validate(version, 0, 57), DropReason.UnknownVersion);
  const padded = concat(good, hex("0000"));
  assert.equal(ipv6.validate(padded, 0, 59), DropReason.None);
});

Deno.test("the upper layer is found behind extension headers", () => {
  const find = (b: Uint8Array, protocol: number) =>
    ipv6.upperLayerAt(b, 0, protocol);
  assert.equal(find(UDP6.bytes, Protocol.Udp), 40);
  assert.equal(find(UDP6_EXTENSIONS.bytes, Protocol.Udp), 56);
  assert.equal(find(UDP6_FRAGMENT_FIRST.bytes, Protocol.Udp), 48);
  assert.equal(find(UDP6_FRAGMENT_LATER.bytes, Protocol.Udp), -1);
  assert.equal(find(UDP6.bytes, Protocol.Tcp), -1);
  assert.equal(find(UDP6_EXTENSIONS.bytes, Protocol.Tcp), -1);
});

Deno.test("an authentication header counts its length in its own way", () => {
  // RFC 4302, section 2.2: payload length 4 is (4 + 2) * 4 bytes.
  assert.equal(
    ipv6.extensionLength(hex("0604"), 0, Protocol.AuthenticationHeader),
    24,
  );
  assert.equal(ipv6.extensionLength(hex("0602"), 0, Protocol.Routing), 24);
  assert.equal(ipv6.extensionLength(hex("06ff"), 0, Protocol.Fragment), 8);
});
