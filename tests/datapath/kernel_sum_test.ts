import assert from "node:assert/strict";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { fold, sum } from "../../src/core/wire/checksum.ts";
import * as ipv4 from "../../src/core/wire/ipv4.ts";
import { parsePacket } from "../../src/core/wire/packet.ts";
import { PacketView } from "../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../src/core/wire/transport_checksum.ts";
import { Protocol } from "../../src/core/wire/protocol.ts";
import * as udp from "../../src/core/wire/udp.ts";
import { kernelSum } from "../../src/datapath/kernel_sum.ts";
import { instantiateKernels } from "../../src/datapath/kernels/kernels.ts";
import { Random } from "./twins/random.ts";

const kernels = instantiateKernels({ arenaBytes: 1 << 18 });
const add = kernelSum(kernels);
const AT = kernels.firstFree;

Deno.test("any range folds to what core's sum folds to", () => {
  const random = new Random(1);
  kernels.bytes.set(random.bytes(70_000), AT);
  const other = random.bytes(3000);
  for (let round = 0; round < 3000; round++) {
    const at = AT + random.below(4000);
    const length = random.pick([0, 1, 31, 32, 33, 1400, 65_535, round]);
    const initial = random.pick([0, 0xffff, 0x3fffe, random.below(1 << 20)]);
    assert.equal(
      fold(add(kernels.bytes, at, length, initial)),
      fold(sum(kernels.bytes, at, length, initial)),
      `${length} bytes at ${at}`,
    );
    const own = random.below(1000);
    assert.equal(add(other, own, 999, 7), sum(other, own, 999, 7));
  }
  // Nothing but zeros, and nothing but ones, which fold to neither's opposite.
  for (const byte of [0, 0xff]) {
    kernels.bytes.fill(byte, AT, AT + 2000);
    assert.equal(
      fold(add(kernels.bytes, AT, 2000, 0)),
      fold(sum(kernels.bytes, AT, 2000, 0)),
    );
  }
});

Deno.test("checksums made with it are right, and a flipped bit is noticed", () => {
  const random = new Random(2);
  const { bytes } = kernels;
  const view = new PacketView();
  for (let payload = 0; payload < 1400; payload += 7) {
    const length = udp.HEADER_LENGTH + payload;
    const total = ipv4.HEADER_LENGTH + length;
    const transport = AT + ipv4.HEADER_LENGTH;
    bytes.set(random.bytes(total), AT);
    ipv4.emit(bytes, AT, total, Protocol.Udp, 64, 0x0a000001, 0x0a000002);
    udp.emit(bytes, transport, random.below(65536), 53, length);
    const pseudo = sum(bytes, AT + ipv4.SOURCE_AT, 8, Protocol.Udp + length);
    udp.updateChecksum(bytes, transport, pseudo, add);
    assert.equal(parsePacket(bytes, AT, total, view), DropReason.None);
    assert.equal(verifyTransport(bytes, view), DropReason.None);
    assert.equal(verifyTransport(bytes, view, add), DropReason.None);
    // Ports and payload; of the header the checksum itself stays.
    const at = transport + random.pick([0, 1, 2, 3, 8 + random.below(payload)]);
    if (at >= AT + total) continue;
    bytes[at] ^= 1 << random.below(8);
    assert.equal(verifyTransport(bytes, view, add), DropReason.BadChecksum);
  }
});
