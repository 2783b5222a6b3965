import assert from "node:assert/strict";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import * as ipv4 from "../../../src/core/wire/ipv4.ts";
import {
  concat,
  hex,
  TCP4_SYN,
  toHex,
  UDP4_FRAGMENT_FIRST,
  UDP4_FRAGMENT_LATER,
  UDP4_OPTIONS,
} from "./packets.ts";

/** The packet with bytes changed and its header checksum made right. */
function changed(
  bytes: Uint8Array,
  change: (b: Uint8Array) => void,
): Uint8Array {
  const b = bytes.slice();
  change(b);
  ipv4.updateHeaderChecksum(b, 0);
  return b;
}

Deno.test("every field of a header is read, wherever it starts", () => {
  for (const at of [0, 3]) {
    const b = concat(new Uint8Array(at), TCP4_SYN.bytes);
    assert.equal(ipv4.validate(b, at, 60), DropReason.None);
    assert.equal(ipv4.headerLength(b, at), 20);
    assert.equal(ipv4.totalLength(b, at), 60);
    assert.equal(ipv4.identification(b, at), 0xcd1a);
    assert.equal(ipv4.dontFragment(b, at), true);
    assert.equal(ipv4.moreFragments(b, at), false);
    assert.equal(ipv4.fragmentOffset(b, at), 0);
    assert.equal(ipv4.timeToLive(b, at), 64);
    assert.equal(ipv4.protocol(b, at), 6);
    assert.equal(ipv4.headerChecksum(b, at), 0x598f);
    assert.equal(ipv4.source(b, at), 0x0a080001);
    assert.equal(ipv4.destination(b, at), 0x0a080002);
  }
});

Deno.test("fragments tell their place in bytes", () => {
  const first = UDP4_FRAGMENT_FIRST.bytes;
  const later = UDP4_FRAGMENT_LATER.bytes;
  assert.equal(ipv4.moreFragments(first, 0), true);
  assert.equal(ipv4.fragmentOffset(first, 0), 0);
  assert.equal(ipv4.dontFragment(first, 0), false);
  assert.equal(ipv4.moreFragments(later, 0), false);
  assert.equal(ipv4.fragmentOffset(later, 0), 1480);
});

Deno.test("emit writes what the kernel wrote, but for identification and DF", () => {
  const b = TCP4_SYN.bytes.slice();
  b.fill(0xee, 0, 20);
  ipv4.emit(b, 0, 60, 6, 64, 0x0a080001, 0x0a080002);
  assert.equal(ipv4.validate(b, 0, 60), DropReason.None);
  assert.equal(ipv4.identification(b, 0), 0);
  assert.equal(ipv4.dontFragment(b, 0), false);
  ipv4.setIdentification(b, 0, 0xcd1a);
  ipv4.setFragment(b, 0, 0, 0, 1);
  ipv4.updateHeaderChecksum(b, 0);
  assert.equal(toHex(b), toHex(TCP4_SYN.bytes));
});

Deno.test("a first fragment becomes the later one by its setters", () => {
  const b = UDP4_FRAGMENT_FIRST.bytes.slice(0, 20);
  ipv4.setTotalLength(b, 0, 148);
  ipv4.setFragment(b, 0, 1480, 0, 0);
  ipv4.updateHeaderChecksum(b, 0);
  assert.equal(toHex(b), toHex(UDP4_FRAGMENT_LATER.bytes.slice(0, 20)));
  ipv4.setFragment(b, 0, 65528, 1, 1);
  assert.equal(toHex(b.slice(6, 8)), "7fff");
});

Deno.test("TTL changes with the checksum kept right, addresses with a new one", () => {
  for (const sample of [TCP4_SYN, UDP4_OPTIONS]) {
    const b = sample.bytes.slice();
    ipv4.setTimeToLive(b, 0, 63);
    assert.equal(ipv4.validate(b, 0, b.length), DropReason.None);
    ipv4.setSource(b, 0, 0xc0a80101);
    ipv4.setDestination(b, 0, 0xffffffff);
    ipv4.updateHeaderChecksum(b, 0);
    assert.equal(ipv4.validate(b, 0, b.length), DropReason.None);
    assert.equal(ipv4.timeToLive(b, 0), 63);
    assert.equal(ipv4.source(b, 0), 0xc0a80101);
    assert.equal(ipv4.destination(b, 0), 0xffffffff);
    ipv4.setTimeToLive(b, 0, 64);
    ipv4.setSource(b, 0, 0x0a080001);
    ipv4.setDestination(b, 0, 0x0a080002);
    ipv4.updateHeaderChecksum(b, 0);
    assert.equal(toHex(b), toHex(sample.bytes));
  }
});

Deno.test("each way to be wrong has its reason", () => {
  const good = UDP4_OPTIONS.bytes;
  const reason = (b: Uint8Array) => ipv4.validate(b, 0, b.length);
  assert.equal(reason(new Uint8Array()), DropReason.TooShort);
  assert.equal(reason(good.slice(0, 19)), DropReason.TooShort);
  assert.equal(ipv4.validate(good, 1, good.length), DropReason.TooShort);
  assert.equal(
    reason(changed(good, (b) => b[0] = 0x56)),
    DropReason.UnknownVersion,
  );
  for (const ihl of [0, 1, 4]) {
    const b = good.slice();
    b[0] = 0x40 | ihl;
    assert.equal(reason(b), DropReason.BadHeaderLength, `IHL ${ihl}`);
  }
  assert.equal(
    reason(changed(good, (b) => ipv4.setTotalLength(b, 0, 38))),
    DropReason.BadTotalLength,
  );
  assert.equal(
    reason(changed(good, (b) => ipv4.setTotalLength(b, 0, 23))),
    DropReason.BadTotalLength,
  );
  assert.equal(
    reason(changed(good, (b) => ipv4.setTotalLength(b, 0, 24))),
    DropReason.None,
  );
  const ihl15 = good.slice();
  ihl15[0] = 0x4f;
  assert.equal(reason(ihl15), DropReason.BadTotalLength);
  assert.equal(reason(concat(good, hex("0000"))), DropReason.None, "padding");
});

Deno.test("every flipped bit of a header is found", () => {
  for (let bit = 0; bit < 24 * 8; bit++) {
    const b = UDP4_OPTIONS.bytes.slice();
    b[bit >> 3] ^= 1 << (bit & 7);
    assert.notEqual(ipv4.validate(b, 0, b.length), DropReason.None, `${bit}`);
  }
});
