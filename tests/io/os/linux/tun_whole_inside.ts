/** Run by tun_whole_test.ts in a network namespace of its own. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { parseAddress } from "../../../../src/core/wire/address.ts";
import { Netlink } from "../../../../src/io/os/linux/netlink.ts";
import { attachWholeTun, createTun } from "../../../../src/io/os/linux/tun.ts";
import {
  Mirror,
  type OpenMirror,
  stream,
  testDatagrams,
  testSinglePackets,
} from "../../../contract/tun_whole.ts";

const NAME = "mirror0";
const MTU = 1400;
const ADDRESSES = [
  ["10.88.0.1", 4, 24],
  ["fd88::1", 6, 64],
] as const;
const libc = openLibc();

function opener(offload: "tcp" | "none"): OpenMirror {
  return (areaBytes, arenaBytes) => {
    const tun = createTun(libc, { name: NAME, offload });
    using netlink = new Netlink(libc);
    const { index } = netlink.link(NAME)!;
    for (const [text, family, prefixLength] of ADDRESSES) {
      const words = Int32Array.from(parseAddress(text)!);
      netlink.addAddress({ family, words, prefixLength, index });
    }
    netlink.setLink(index, { mtu: MTU, up: true });
    const bytes = new Uint8Array(arenaBytes);
    const device = attachWholeTun(libc, {
      descriptor: tun.descriptor,
      name: tun.name,
      mtu: MTU,
      offload: tun.offload,
      bytes,
      readArea: { start: 0, end: areaBytes },
    });
    return {
      device,
      bytes,
      [Symbol.dispose]: () => {
        device[Symbol.dispose]();
        tun[Symbol.dispose]();
      },
    };
  };
}

const whole = opener("tcp");

for (
  const [own, other] of [["10.88.0.1", "10.88.0.2"], ["fd88::1", "fd88::2"]]
) {
  Deno.test(`a stream to ${other} passes in super-packets`, async () => {
    using mirror = new Mirror(whole);
    await stream(own, other);
    assert.deepEqual(mirror.wrong, []);
    assert.ok(mirror.longest > 10 * MTU, `${mirror.longest} bytes`);
    assert.ok(mirror.partial > 0);
  });

  testDatagrams(whole, own, other);
}

Deno.test("a small area holds one super-packet a batch, and none is lost", async () => {
  using mirror = new Mirror(whole, { areaBytes: 80_000 });
  await stream("10.88.0.1", "10.88.0.2");
  assert.deepEqual(mirror.wrong, []);
  assert.ok(mirror.longest > 10 * MTU);
});

Deno.test("rows stay free for what stages append", async () => {
  using mirror = new Mirror(whole, { rows: 16 });
  mirror.stop();
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "10.88.0.1",
    port: 0,
  });
  for (let i = 0; i < 40; i++) {
    await socket.send(new Uint8Array(10), {
      transport: "udp",
      hostname: "10.88.0.2",
      port: 9,
    });
  }
  socket.close();
  mirror.batch.clear();
  assert.equal(mirror.device.read(mirror.batch), 14);
});

testSinglePackets(opener("none"), {
  own: "10.88.0.1",
  other: "10.88.0.2",
  mtu: MTU,
});

Deno.test("an interface that was removed says so", () => {
  using mirror = new Mirror(whole);
  new Deno.Command("ip", { args: ["link", "del", "mirror0"] }).outputSync();
  mirror.batch.clear();
  assert.equal(mirror.device.read(mirror.batch), 0);
  assert.equal(mirror.device.gone, true);
});
