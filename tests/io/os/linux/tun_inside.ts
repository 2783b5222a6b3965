/** Run by tun_test.ts in a network namespace of its own. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { Batch } from "../../../../src/core/columns/batch.ts";
import { Verdict } from "../../../../src/core/columns/verdict.ts";
import { checksum } from "../../../../src/core/wire/checksum.ts";
import { parseAddress } from "../../../../src/core/wire/address.ts";
import { readU16be, writeU16be } from "../../../../src/core/wire/bytes.ts";
import * as ipv4 from "../../../../src/core/wire/ipv4.ts";
import { instantiateKernels } from "../../../../src/datapath/kernels/kernels.ts";
import { Netlink } from "../../../../src/io/os/linux/netlink.ts";
import { attachTun, createTun } from "../../../../src/io/os/linux/tun.ts";
import { TunError } from "../../../../src/io/ports.ts";
import type { CreatedTun, TunDevice } from "../../../../src/io/ports.ts";

const HOST = 0x0a580001; // 10.88.0.1, the kernel's
const PEER = 0x0a580002; // 10.88.0.2, behind the device
const HEADROOM = 16;
const TAILROOM = 16;
const MTU = 1420;

const libc = openLibc();

/** An interface with an address, and a worker's end of it. */
class Bench implements Disposable {
  readonly tun: CreatedTun;
  readonly device: TunDevice;
  readonly batch: Batch;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly areaStart: number;
  readonly areaEnd: number;
  constructor(
    options: {
      rows?: number;
      areaBytes?: number;
      offload?: "none" | "segments";
    } = {},
  ) {
    const { rows = 64, areaBytes = 1 << 18, offload = "none" } = options;
    this.tun = createTun(libc, { name: "bench0", offload });
    using netlink = new Netlink(libc);
    const link = netlink.link("bench0");
    assert.ok(link);
    netlink.addAddress({
      family: 4,
      words: words("10.88.0.1"),
      prefixLength: 24,
      index: link.index,
    });
    netlink.setLink(link.index, { mtu: MTU, up: true });
    const kernels = instantiateKernels({
      arenaBytes: 3 * areaBytes + (1 << 16),
    });
    const start = (kernels.firstFree + 15) & ~15;
    this.areaStart = start;
    this.areaEnd = start + areaBytes;
    this.bytes = kernels.bytes;
    this.device = attachTun(libc, {
      descriptor: this.tun.descriptor,
      name: this.tun.name,
      mtu: MTU,
      offload: this.tun.offload,
      kernels,
      bytes: this.bytes,
      readArea: { start, end: this.areaEnd },
      writeArea: { start: this.areaEnd, end: this.areaEnd + areaBytes },
      headroom: HEADROOM,
      tailroom: TAILROOM,
      padLimit: MTU,
    });
    this.batch = new Batch({
      bytes: this.bytes,
      capacity: rows,
      spareStart: this.areaEnd + areaBytes,
      spareEnd: this.bytes.length,
      headroom: HEADROOM,
      tailroom: TAILROOM + 15,
    });
    this.drain();
  }

  /** Takes what the kernel says by itself: router solicitations and the like. */
  drain(): void {
    do this.batch.clear(); while (this.device.read(this.batch) > 0);
  }

  /** IPv4 packets only: IPv6 multicast of the kernel's own comes at any time. */
  readIpv4(): number[] {
    this.batch.clear();
    this.device.read(this.batch);
    return Array.from({ length: this.batch.count }, (_, row) => row)
      .filter((row) => this.bytes[this.batch.offset[row]] >> 4 === 4);
  }

  [Symbol.dispose](): void {
    this.device[Symbol.dispose]();
    this.tun[Symbol.dispose]();
  }
}

function words(text: string): Int32Array {
  return Int32Array.from(parseAddress(text)!);
}

/** Appends an echo request from PEER to HOST. */
function appendPing(batch: Batch, sequence: number, payload = 56): void {
  const length = 20 + 8 + payload;
  const row = batch.append(length, -1);
  const at = batch.offset[row];
  batch.bytes.fill(0xab, at, at + length);
  ipv4.emit(batch.bytes, at, length, 1, 64, PEER, HOST);
  const icmp = at + 20;
  writeU16be(batch.bytes, icmp, 8 << 8);
  writeU16be(batch.bytes, icmp + 2, 0);
  writeU16be(batch.bytes, icmp + 4, 0x1234);
  writeU16be(batch.bytes, icmp + 6, sequence);
  writeU16be(batch.bytes, icmp + 2, checksum(batch.bytes, icmp, length - 20));
  batch.decide(row, Verdict.ToHost, 0);
}

async function sendDatagrams(sizes: readonly number[]): Promise<void> {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "10.88.0.1",
    port: 4000,
  });
  for (const [i, size] of sizes.entries()) {
    const payload = new Uint8Array(size).fill(i + 1);
    await socket.send(payload, {
      transport: "udp",
      hostname: "10.88.0.2",
      port: 5000,
    });
  }
  socket.close();
}

Deno.test("the kernel answers packets that are written: echo replies come back", () => {
  using bench = new Bench();
  const { batch, device, bytes } = bench;
  batch.clear();
  for (const sequence of [1, 2, 3]) appendPing(batch, sequence);
  assert.equal(device.write(batch), 0);
  const replies = bench.readIpv4();
  assert.equal(replies.length, 3);
  for (const [i, row] of replies.entries()) {
    const at = batch.offset[row];
    assert.equal(ipv4.validate(bytes, at, batch.length[row]), 0);
    assert.equal(ipv4.source(bytes, at), HOST);
    assert.equal(ipv4.destination(bytes, at), PEER);
    assert.equal(bytes[at + 20], 0);
    assert.equal(readU16be(bytes, at + 24), 0x1234);
    assert.equal(readU16be(bytes, at + 26), i + 1);
    assert.equal(batch.peer[row], -1);
    assert.equal(batch.verdict[row], Verdict.Undecided);
  }
  bench.drain();
  assert.deepEqual(bench.readIpv4(), []);
});

Deno.test("only rows for the host are written", () => {
  using bench = new Bench();
  const { batch, device } = bench;
  batch.clear();
  for (const sequence of [1, 2, 3]) appendPing(batch, sequence);
  batch.decide(0, Verdict.Drop, 1);
  batch.decide(2, Verdict.ToPeer, 0);
  assert.equal(device.write(batch), 0);
  const [row, ...others] = bench.readIpv4();
  assert.deepEqual(others, []);
  assert.equal(readU16be(bench.bytes, batch.offset[row] + 26), 2);
});

Deno.test("a refused row is counted and does not end the batch", () => {
  using bench = new Bench();
  const { batch, device, bytes } = bench;
  batch.clear();
  appendPing(batch, 1);
  appendPing(batch, 2);
  bytes[batch.offset[0]] = 0x35; // IP version 3
  assert.equal(device.write(batch), 1);
  const [row, ...others] = bench.readIpv4();
  assert.deepEqual(others, []);
  assert.equal(readU16be(bytes, batch.offset[row] + 26), 2);
});

Deno.test("datagrams of a real socket arrive back to back, each with its room", async () => {
  using bench = new Bench();
  const sizes = [1, 4, 500, 1392, 1392, 0, 100];
  await sendDatagrams(sizes);
  const { batch, bytes } = bench;
  const rows = bench.readIpv4();
  assert.deepEqual(
    rows.map((row) => batch.length[row]),
    sizes.map((size) => size + 28),
  );
  for (const [i, row] of rows.entries()) {
    const at = batch.offset[row];
    assert.equal(ipv4.validate(bytes, at, batch.length[row]), 0);
    for (let b = 0; b < sizes[i]; b++) assert.equal(bytes[at + 28 + b], i + 1);
    if (i === 0) continue;
    const before = rows[i - 1];
    const full = Math.ceil(batch.length[before] / 16) * 16;
    const padded = Math.max(Math.min(full, MTU), batch.length[before]);
    if (row === before + 1) {
      assert.equal(at, batch.offset[before] + padded + TAILROOM + HEADROOM);
    }
  }
});

Deno.test("reading stops where rows are used up, and goes on with the next batch", async () => {
  using bench = new Bench({ rows: 4 });
  await sendDatagrams([1, 2, 3, 4, 5, 6]);
  const seen: number[] = [];
  for (;;) {
    const rows = bench.readIpv4();
    if (bench.batch.count === 0) break;
    assert.ok(bench.batch.count <= 4);
    seen.push(...rows.map((row) => bench.batch.length[row] - 28));
  }
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6]);
});

Deno.test("reading stops where the area is used up, and nothing lies outside it", async () => {
  const areaBytes = 3 * (HEADROOM + MTU + 15 + TAILROOM);
  using bench = new Bench({ areaBytes });
  const sizes = [1392, 1392, 1392, 1392, 1392];
  await sendDatagrams(sizes);
  const guard = bench.bytes.slice(bench.areaEnd);
  const seen: number[] = [];
  for (;;) {
    const rows = bench.readIpv4();
    if (bench.batch.count === 0) break;
    assert.ok(bench.batch.count <= 3);
    for (const row of rows) {
      assert.ok(bench.batch.offset[row] >= bench.areaStart + HEADROOM);
      const end = bench.batch.offset[row] + bench.batch.length[row];
      assert.ok(end + TAILROOM <= bench.areaEnd);
      seen.push(bench.batch.length[row] - 28);
    }
  }
  assert.deepEqual(seen, sizes);
  assert.deepEqual(bench.bytes.slice(bench.areaEnd), guard);
});

Deno.test("a larger packet than the MTU never arrives: the kernel cuts it", async () => {
  using bench = new Bench();
  await sendDatagrams([3000]);
  const rows = bench.readIpv4();
  assert.equal(rows.length, 3);
  for (const row of rows) assert.ok(bench.batch.length[row] <= MTU);
});

Deno.test("an interface of that name that somebody holds is «name taken»", () => {
  using _bench = new Bench();
  const again = () => createTun(libc, { name: "bench0", offload: "none" });
  assert.throws(
    again,
    (error) => error instanceof TunError && error.code === "name-taken",
  );
  // lo is no TUN interface at all.
  const loopback = () => createTun(libc, { name: "lo", offload: "none" });
  assert.throws(
    loopback,
    (error) => error instanceof TunError && error.code === "name-taken",
  );
});

Deno.test("closing the descriptor ends the interface; a removed one says so", () => {
  using netlink = new Netlink(libc);
  {
    using _bench = new Bench();
    assert.equal(netlink.link("bench0")?.mtu, MTU);
    assert.equal(netlink.link("bench0")?.up, true);
  }
  assert.equal(netlink.link("bench0"), undefined);

  using bench = new Bench();
  assert.equal(bench.device.gone, false);
  const { code } = new Deno.Command("ip", {
    args: ["link", "delete", "bench0"],
  }).outputSync();
  assert.equal(code, 0);
  bench.batch.clear();
  assert.equal(bench.device.read(bench.batch), 0);
  assert.equal(bench.device.gone, true);
  bench.batch.clear();
  appendPing(bench.batch, 1);
  assert.equal(bench.device.write(bench.batch), 1);
});

Deno.test("a persistent interface is taken over and known for what it is", () => {
  const ip = (...args: string[]) =>
    assert.ok(new Deno.Command("ip", { args }).outputSync().success);
  ip("tuntap", "add", "dev", "kept0", "mode", "tun");
  {
    using tun = createTun(libc, { name: "kept0", offload: "none" });
    assert.equal(tun.persistent, true);
  }
  using netlink = new Netlink(libc);
  assert.ok(netlink.link("kept0"));
  ip("link", "delete", "kept0");
  using tun = createTun(libc, { name: "kept0", offload: "none" });
  assert.equal(tun.persistent, false);
});

for (const offload of ["none", "segments"] as const) {
  Deno.test(`a steady stream allocates nothing, offload ${offload}`, () => {
    using bench = new Bench({ offload, areaBytes: 1 << 19 });
    const { batch, device } = bench;
    let packets = 0;
    const round = () => {
      batch.clear();
      for (let sequence = 0; sequence < 32; sequence++) {
        appendPing(batch, sequence);
      }
      device.write(batch);
      do {
        batch.clear();
        packets += device.read(batch);
      } while (batch.count > 0);
    };
    for (let i = 0; i < 1000; i++) round();
    let least = Infinity;
    for (let attempt = 0; attempt < 5; attempt++) {
      packets = 0;
      const before = Deno.memoryUsage().heapUsed;
      for (let i = 0; i < 300; i++) round();
      const grown = Deno.memoryUsage().heapUsed - before;
      assert.ok(packets >= 300 * 32);
      // A collection in between hides growth: such an attempt says nothing.
      if (grown >= 0) least = Math.min(least, grown / packets);
    }
    assert.ok(least < 4, `${least} bytes a packet`);
  });
}

/** What the program says that tries to make an interface, started by `command`. */
function denied(...command: string[]): unknown {
  const file = new URL("./tun_denied_program.ts", import.meta.url).pathname;
  const args = [
    ...command.slice(1),
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    file,
  ];
  const { stdout } = new Deno.Command(command[0], { args }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("without the right to make interfaces it is «not permitted»", () => {
  assert.deepEqual(
    denied("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"),
    { code: "not-permitted", netAdmin: false, tun: "usable" },
  );
});

Deno.test("without /dev/net/tun it is «device absent», where it is locked «device denied»", () => {
  const within = (prepare: string) =>
    denied("unshare", "--mount", "sh", "-c", `${prepare} && exec "$0" "$@"`);
  assert.deepEqual(within("mount -t tmpfs none /dev/net"), {
    code: "device-absent",
    netAdmin: true,
    tun: "absent",
  });
  assert.deepEqual(
    within(
      "mount --bind /dev/net /dev/net && mount -o remount,bind,nodev /dev/net",
    ),
    {
      code: "device-denied",
      netAdmin: true,
      tun: "denied",
    },
  );
});
