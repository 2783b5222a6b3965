import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Batch } from "../../../src/core/columns/batch.ts";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import { Reassembly } from "../../../src/core/flow/reassembly.ts";
import { splitRow } from "../../../src/core/flow/split.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { ipPacket, pattern, udpPacket } from "./packets.ts";

const V4 = {
  from: "192.0.2.7",
  to: "10.8.0.2",
  fromPort: 53,
  toPort: 4000,
  id: 77,
};
const V6 = { ...V4, from: "2001:db8:0:0:0:0:0:7", to: "fd00:8:0:0:0:0:0:2" };

function split(packet: Uint8Array, mtu: number, spare = 200_000): Batch {
  const bytes = new Uint8Array(70_000 + spare);
  const spareEnd = bytes.length;
  const batch = new Batch({
    ...{
      bytes,
      capacity: 128,
      spareStart: 70_000,
      spareEnd,
      headroom: 32,
      tailroom: 16,
    },
  });
  bytes.set(packet, 64);
  const row = batch.push(64, packet.length, 3);
  batch.decide(row, Verdict.ToPeer, 3);
  splitRow(batch, row, mtu, 0xfeedbeef);
  return batch;
}

Deno.test("fragments fit, parse, and give the packet back", () => {
  for (const addresses of [V4, V6]) {
    for (const mtu of [1280, 1420, 1421, 1427]) {
      for (const size of [mtu, 1500, 2760, 9000, 65_000]) {
        const packet = udpPacket(addresses, pattern(size));
        const batch = split(packet, mtu);
        const reassembly = new Reassembly({ slots: 1, slotsPerPeer: 1 });
        const view = new PacketView();
        for (let row = 0; row < batch.count; row++) {
          assert.equal(batch.verdict[row], Verdict.ToPeer);
          assert.equal(batch.target[row], 3);
          assert.ok(batch.length[row] <= mtu);
          const { bytes } = batch;
          const reason = parsePacket(
            bytes,
            batch.offset[row],
            batch.length[row],
            view,
          );
          assert.equal(reason, DropReason.None);
          assert.equal(reassembly.add(bytes, view, 0, 0), DropReason.None);
          assert.equal(reassembly.completed >= 0, row === batch.count - 1);
        }
        const whole = new Uint8Array(reassembly.lengthOf(0));
        reassembly.takeOut(0, whole, 0);
        assert.ok(Buffer.from(whole).equals(packet));
      }
    }
  }
});

Deno.test("a fragment that is split keeps its place and its «more»", () => {
  for (const moreFragments of [false, true]) {
    const part = ipPacket(17, pattern(1400), {
      ...V4,
      fragmentOffset: 2800,
      moreFragments,
    });
    const batch = split(part, 1280);
    const view = new PacketView();
    const shapes = [0, 1].map((row) => {
      parsePacket(batch.bytes, batch.offset[row], batch.length[row], view);
      return [view.fragmentOffset, view.moreFragments, view.fragmentId];
    });
    assert.deepEqual(shapes, [[2800, 1, 77], [
      2800 + 1256,
      moreFragments ? 1 : 0,
      77,
    ]]);
  }
});

Deno.test("no room for all: all are dropped", () => {
  const batch = split(udpPacket(V4, pattern(9000)), 1280, 3000);
  for (let row = 0; row < batch.count; row++) {
    assert.equal(batch.verdict[row], Verdict.Drop);
    assert.equal(batch.target[row], DropReason.BatchFull);
  }
});
