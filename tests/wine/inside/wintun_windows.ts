/**
 * Wintun devices by the stand-in's rings, against the Linux stack behind it; run
 * by wintun_test.ts, which starts the bridge.
 */
import assert from "node:assert/strict";
import { openKernel32 } from "../../../ffi/windows/kernel32.ts";
import { Batch } from "../../../src/core/columns/batch.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import * as ipv4 from "../../../src/core/wire/ipv4.ts";
import { TunError } from "../../../src/io/ports.ts";
import { viewNative } from "../../../src/io/os/windows/native_memory.ts";
import { WintunDevices } from "../../../src/io/os/windows/wintun.ts";
import {
  testTunDevices,
  TUN_BENCH,
  type TunBenchDevice,
} from "../../contract/tun_device.ts";
import {
  type MirrorDevice,
  testDatagrams,
  testSinglePackets,
} from "../../contract/tun_whole.ts";
import { BRIDGE_PORT, Message } from "../standins/tun_bridge.ts";

const { name: NAME, mtu: MTU } = TUN_BENCH;
const WAIT_OBJECT_0 = 0;
const WAIT_TIMEOUT = 258;

const kernel32 = openKernel32();
const devices = new WintunDevices(kernel32);

function openBench({ areaBytes }: { areaBytes: number }): TunBenchDevice {
  const tun = devices.create({ name: NAME, offload: "none" });
  const bytes = new Uint8Array(areaBytes + (1 << 18));
  const areaStart = 16;
  const areaEnd = areaStart + areaBytes;
  const device = devices.attach({
    descriptor: tun.descriptor,
    name: tun.name,
    mtu: MTU,
    offload: tun.offload,
    bytes,
    readArea: { start: areaStart, end: areaEnd },
    writeArea: { start: 0, end: 0 },
    headroom: TUN_BENCH.headroom,
    tailroom: TUN_BENCH.tailroom,
    padLimit: MTU,
  });
  return {
    device,
    bytes,
    areaStart,
    areaEnd,
    [Symbol.dispose]: () => {
      device[Symbol.dispose]();
      tun[Symbol.dispose]();
    },
  };
}

/** Has the bridge take the adapter's interface away. */
async function remove(): Promise<void> {
  using connection = await Deno.connect({ port: BRIDGE_PORT });
  const name = new TextEncoder().encode(NAME);
  const header = Uint32Array.of(Message.Remove << 24 | name.length);
  await connection.write(new Uint8Array(header.buffer));
  await connection.write(name);
}

testTunDevices({ open: openBench, remove });

function openMirror(areaBytes: number, arenaBytes: number): MirrorDevice {
  const tun = devices.create({ name: NAME, offload: "tcp" });
  const bytes = new Uint8Array(arenaBytes);
  const device = devices.attachWhole({
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
}

testDatagrams(openMirror, TUN_BENCH.address, "10.88.0.2");
testSinglePackets(openMirror, {
  own: TUN_BENCH.address,
  other: "10.88.0.2",
  mtu: MTU,
});

function throwsTunError(name: string, code: string, advice?: RegExp): void {
  assert.throws(
    () => devices.create({ name, offload: "none" }),
    (error) => {
      assert.ok(error instanceof TunError, String(error));
      assert.equal(error.code, code, error.message);
      if (advice !== undefined) assert.match(error.advice ?? "", advice);
      return true;
    },
  );
}

Deno.test("a name that Windows would refuse is refused first", () => {
  for (const name of ["", "a/b", "a\\b", "x".repeat(128), "a ", "a\n", "a?"]) {
    throwsTunError(name, "name-invalid");
  }
});

Deno.test("what the library says is told by its meaning", () => {
  throwsTunError("standin-error-5", "not-permitted", /administrator/);
  throwsTunError("standin-error-577", "device-denied", /wintun\.net/);
  throwsTunError("standin-error-1058", "device-absent", /restart Windows/);
  throwsTunError("standin-error-258", "failed", /restart Windows/);
  throwsTunError("standin-error-13", "failed");
});

Deno.test("a name that another adapter has is «name taken»", () => {
  using _bench = openBench({ areaBytes: 1 << 16 });
  throwsTunError(NAME, "name-taken");
});

Deno.test("an adapter of another process is «name taken», until that is killed", async () => {
  const holder = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--no-check",
      "--cached-only",
      "--quiet",
      import.meta.resolve("./wintun_holder.ts"),
      NAME,
    ],
    stdout: "piped",
  }).spawn();
  const output = holder.stdout.getReader();
  const { value } = await output.read();
  assert.match(new TextDecoder().decode(value), /made/);
  throwsTunError(NAME, "name-taken");
  holder.kill();
  using bench = openBench({ areaBytes: 1 << 16 });
  assert.equal(bench.device.gone, false);
  await holder.status;
  await output.cancel();
});

Deno.test("the event says that packets wait, as long as some do", () => {
  using bench = openBench({ areaBytes: 1 << 16 });
  const { device, bytes } = bench;
  const event = new DataView(viewNative(device.descriptor, 4)).getUint32(
    0,
    true,
  );
  const batch = new Batch({
    bytes,
    capacity: 2,
    spareStart: bytes.length - (1 << 16),
    spareEnd: bytes.length,
    headroom: 0,
    tailroom: 0,
  });
  const wait = (timeoutMs: number) =>
    kernel32.call.WaitForSingleObject(event, timeoutMs);
  const drain = () => {
    do batch.clear(); while (device.read(batch) > 0);
  };
  // The host's own packets for its new interface come to an end.
  while (wait(3000) === WAIT_OBJECT_0) drain();
  for (let sequence = 0; sequence < 5; sequence++) {
    batch.clear();
    const row = batch.append(28, -1);
    const at = batch.offset[row];
    bytes.fill(0, at, at + 28);
    ipv4.emit(bytes, at, 28, 1, 64, 0x0a580002, 0x0a580001);
    bytes.set([8, 0, 0xf7, 0xff], at + 20); // echo request of zeros
    batch.decide(row, Verdict.ToHost, 0);
    assert.equal(device.write(batch), 0);
  }
  let packets = 0;
  while (packets < 5) {
    assert.equal(wait(3000), WAIT_OBJECT_0);
    batch.clear();
    packets += device.read(batch);
  }
  drain();
  assert.equal(wait(0), WAIT_TIMEOUT);
});

Deno.test("a full ring refuses rows and says how many", () => {
  using bench = openBench({ areaBytes: 1 << 16 });
  const { device, bytes } = bench;
  const rows = 1024;
  const batch = new Batch({
    bytes,
    capacity: rows,
    spareStart: bytes.length - (1 << 17),
    spareEnd: bytes.length,
    headroom: 0,
    tailroom: 0,
  });
  const row = batch.append(60_000, -1);
  const at = batch.offset[row];
  // To nobody: the host drops them.
  ipv4.emit(bytes, at, 60_000, 253, 64, 0x0a580002, 0x0a580003);
  batch.decide(row, Verdict.ToHost, 0);
  while (batch.count < rows) {
    batch.decide(batch.push(at, 60_000, -1), Verdict.ToHost, 0);
  }
  let refused = 0;
  for (let i = 0; i < 50 && refused === 0; i++) refused = device.write(batch);
  assert.ok(refused > 0 && refused < rows, `${refused} refused`);
  assert.equal(device.gone, false);
});

Deno.test("a writer beside the pumps writes single packets", async () => {
  using bench = openBench({ areaBytes: 1 << 16 });
  const { device } = bench;
  const writer = devices.attachWriter({
    descriptor: device.descriptor,
    vnetHeader: false,
  });
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: TUN_BENCH.address,
    port: 4001,
  });
  const packet = new Uint8Array(40);
  ipv4.emit(packet, 3, 32, 17, 64, 0x0a580002, 0x0a580001);
  packet.set([0x13, 0x88, 0x0f, 0xa1, 0, 12, 0, 0, 1, 2, 3, 4], 23);
  assert.equal(writer.write(packet, 3, 32), true);
  const [payload, from] = await socket.receive();
  assert.deepEqual([...payload], [1, 2, 3, 4]);
  assert.equal((from as Deno.NetAddr).port, 5000);
  assert.equal(writer.write(new Uint8Array(70_000), 0, 70_000), false);
  assert.equal(writer.write(new Uint8Array(40), 0, 40), false);
  socket.close();
});
