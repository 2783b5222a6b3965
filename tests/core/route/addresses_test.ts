import assert from "node:assert/strict";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import {
  packetLength,
  readDestination,
  readSource,
} from "../../../src/core/route/addresses.ts";
import { addressWords, udpPacket } from "../flow/packets.ts";

const V4 = { from: "10.8.0.2", to: "192.0.2.7", fromPort: 1, toPort: 2 };
const V6 = { ...V4, from: "fd00:8:0:0:0:0:0:2", to: "2001:db8:0:0:0:0:0:7" };

Deno.test("source and destination of both families", () => {
  const words = new Int32Array(4);
  for (const addresses of [V4, V6]) {
    const packet = udpPacket(addresses);
    const padded = Uint8Array.from([...packet, 0, 0, 0]);
    assert.equal(readSource(padded, 0, padded.length, words), DropReason.None);
    assert.deepEqual(words, addressWords(addresses.from));
    assert.equal(
      readDestination(padded, 0, padded.length, words),
      DropReason.None,
    );
    assert.deepEqual(words, addressWords(addresses.to));
    assert.equal(packetLength(padded, 0), packet.length);
  }
});

Deno.test("every truncation is refused", () => {
  const words = new Int32Array(4);
  for (const addresses of [V4, V6]) {
    const packet = udpPacket(addresses);
    for (let length = 0; length < packet.length; length++) {
      assert.notEqual(readSource(packet, 0, length, words), DropReason.None);
      assert.notEqual(
        readDestination(packet, 0, length, words),
        DropReason.None,
      );
    }
  }
});

Deno.test("an IPv6 header with a mapped IPv4 address is refused", () => {
  const words = new Int32Array(4);
  const mapped = "0:0:0:0:0:ffff:a08:2";
  const from = udpPacket({ ...V6, from: mapped });
  assert.equal(
    readSource(from, 0, from.length, words),
    DropReason.SpoofedSource,
  );
  const to = udpPacket({ ...V6, to: mapped });
  assert.equal(readDestination(to, 0, to.length, words), DropReason.NoPeer);
});
