import assert from "node:assert/strict";
import { Batch } from "../../../src/core/columns/batch.ts";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import { PointToPoint } from "../../../src/core/engine/point_to_point.ts";
import { parsePrefix } from "../../../src/core/wire/address.ts";
import { AllowedIps } from "../../../src/core/wireguard/allowed_ips.ts";
import { udpPacket } from "../flow/packets.ts";

function engine(...prefixes: string[]): PointToPoint {
  const nodes = { nodes: 64 };
  const allowedIps = new AllowedIps(
    new ArrayBuffer(AllowedIps.byteLength(nodes)),
    nodes,
  );
  for (const text of prefixes) {
    const { words, length, family } = parsePrefix(text)!;
    allowedIps.insert(words, family === 4 ? length + 96 : length, 0);
  }
  return new PointToPoint(allowedIps);
}

function batchOf(packet: Uint8Array, peer: number): Batch {
  const bytes = new Uint8Array(4096);
  bytes.set(packet, 64);
  const batch = new Batch({
    ...{
      bytes,
      capacity: 4,
      spareStart: 2048,
      spareEnd: 4096,
      headroom: 32,
      tailroom: 16,
    },
  });
  batch.push(64, packet.length, peer);
  return batch;
}

const ADDRESSES = { from: "192.0.2.7", to: "10.8.0.2", fromPort: 1, toPort: 2 };

Deno.test("a peer's packet goes to the host, without its padding", () => {
  const packet = udpPacket(ADDRESSES);
  const batch = batchOf(Uint8Array.from([...packet, 0, 0, 0, 0]), 0);
  engine("0.0.0.0/0").fromTunnel(batch, 0);
  assert.equal(batch.verdict[0], Verdict.ToHost);
  assert.equal(batch.length[0], packet.length);
});

Deno.test("a source that the peer may not use is refused", () => {
  for (
    const [peer, prefix] of [[0, "10.0.0.0/8"], [1, "0.0.0.0/0"], [
      -1,
      "10.0.0.0/8",
    ]] as const
  ) {
    const batch = batchOf(udpPacket(ADDRESSES), peer);
    engine(prefix).fromTunnel(batch, 0);
    assert.equal(batch.target[0], DropReason.SpoofedSource);
  }
});

Deno.test("the host's packets go to the peer of their destination, or nowhere", () => {
  const batch = batchOf(udpPacket({ ...ADDRESSES, to: "8.8.8.8" }), -1);
  engine("0.0.0.0/0").fromHost(batch, 0);
  assert.deepEqual([batch.verdict[0], batch.target[0]], [Verdict.ToPeer, 0]);
  engine("10.0.0.0/8").fromHost(batch, 0);
  assert.deepEqual([batch.verdict[0], batch.target[0]], [
    Verdict.Drop,
    DropReason.NoPeer,
  ]);
});

Deno.test("bytes that are no packet are refused", () => {
  for (const bytes of [[], [0x45], [0x60, 0, 0], [0x15, 1, 2, 3]]) {
    const batch = batchOf(Uint8Array.from(bytes), 0);
    engine("0.0.0.0/0").fromTunnel(batch, 0);
    assert.equal(batch.verdict[0], Verdict.Drop);
    engine("0.0.0.0/0").fromHost(batch, 0);
    assert.equal(batch.verdict[0], Verdict.Drop);
  }
});
