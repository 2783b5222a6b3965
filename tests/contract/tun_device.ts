/**
 * What every TUN device must do, against the stack of the host that it belongs
 * to. The interface has 10.88.0.1/24 and an MTU of 1420; behind it, where the
 * test stands, is 10.88.0.2. Packets may take a moment to come.
 */
import assert from "node:assert/strict";
import { Batch } from "../../src/core/columns/batch.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { checksum } from "../../src/core/wire/checksum.ts";
import { readU16be, writeU16be } from "../../src/core/wire/bytes.ts";
import * as ipv4 from "../../src/core/wire/ipv4.ts";
import type { TunDevice } from "../../src/io/ports.ts";

/** Where a bench's interface is: what {@linkcode TunBenchSystem.open} sees to. */
export const TUN_BENCH = {
  name: "bench0",
  address: "10.88.0.1",
  prefixLength: 24,
  mtu: 1420,
  headroom: 16,
  tailroom: 16,
} as const;

const HOST = 0x0a580001; // 10.88.0.1, the host's
const PEER = 0x0a580002; // 10.88.0.2, behind the device
const { mtu: MTU, headroom: HEADROOM, tailroom: TAILROOM } = TUN_BENCH;
/** How long packets may take, in ms. */
const PATIENCE_MS = 5_000;

/** Sizes of a bench. */
export interface TunBenchOptions {
  readonly rows?: number;
  readonly areaBytes?: number;
}

/** An interface of its own, with a worker's end of it. */
export interface TunBenchDevice extends Disposable {
  readonly device: TunDevice;
  /** The arena, and the part of it that the device reads into. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly areaStart: number;
  readonly areaEnd: number;
}

/** How a system's devices are made. */
export interface TunBenchSystem {
  /** Makes the interface, with its address, and attaches to it. */
  open(options: { readonly areaBytes: number }): TunBenchDevice;
  /** Removes the interface while somebody uses it. */
  remove(): void | Promise<void>;
}

/** A packet that was read: where it lay, and a copy. */
interface ReadPacket {
  readonly batch: number;
  readonly row: number;
  readonly at: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

/** A device with a batch. */
class Bench implements Disposable {
  readonly device: TunDevice;
  readonly batch: Batch;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly areaStart: number;
  readonly areaEnd: number;
  /** The longest batch that was read. */
  longest = 0;
  readonly #opened: TunBenchDevice;
  #batches = 0;

  constructor(system: TunBenchSystem, options: TunBenchOptions = {}) {
    const { rows = 64, areaBytes = 1 << 18 } = options;
    this.#opened = system.open({ areaBytes });
    const { device, bytes, areaStart, areaEnd } = this.#opened;
    this.device = device;
    this.bytes = bytes;
    this.areaStart = areaStart;
    this.areaEnd = areaEnd;
    this.batch = new Batch({
      bytes,
      capacity: rows,
      spareStart: bytes.length - (1 << 17),
      spareEnd: bytes.length,
      headroom: HEADROOM,
      tailroom: TAILROOM + 15,
    });
  }

  /** Reads one batch. @returns its IPv4 packets; the host has IPv6 of its own. */
  read(): ReadPacket[] {
    const { batch, device, bytes } = this;
    batch.clear();
    device.read(batch);
    this.longest = Math.max(this.longest, batch.count);
    const number = this.#batches++;
    return Array.from({ length: batch.count }, (_, row) => row)
      .filter((row) => bytes[batch.offset[row]] >> 4 === 4)
      .map((row) => ({
        batch: number,
        row,
        at: batch.offset[row],
        length: batch.length[row],
        bytes: bytes.slice(
          batch.offset[row],
          batch.offset[row] + batch.length[row],
        ),
      }));
  }

  /** Reads until so many IPv4 packets have come; exactly as many. */
  async receive(count: number): Promise<ReadPacket[]> {
    const packets: ReadPacket[] = [];
    const end = performance.now() + PATIENCE_MS;
    while (packets.length < count && performance.now() < end) {
      packets.push(...this.read());
      if (packets.length < count) await moment();
    }
    assert.equal(packets.length, count);
    return packets;
  }

  /** Writes an echo request, and reads until its answer comes. */
  async receiveUpTo(sequence: number): Promise<ReadPacket[]> {
    this.batch.clear();
    appendPing(this.batch, sequence);
    assert.equal(this.device.write(this.batch), 0);
    const packets: ReadPacket[] = [];
    const end = performance.now() + PATIENCE_MS;
    while (!packets.some((packet) => sequenceOf(packet) === sequence)) {
      assert.ok(performance.now() < end, "the answer does not come");
      packets.push(...this.read());
      await moment();
    }
    return packets;
  }

  [Symbol.dispose](): void {
    this.#opened[Symbol.dispose]();
  }
}

function moment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

function sequenceOf({ bytes }: ReadPacket): number {
  return bytes[9] === 1 ? readU16be(bytes, 26) : -1;
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
    hostname: TUN_BENCH.address,
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

/** Registers the tests. */
export function testTunDevices(system: TunBenchSystem): void {
  Deno.test("the host answers packets that are written: echo replies come back", async () => {
    using bench = new Bench(system);
    const { batch, device } = bench;
    batch.clear();
    for (const sequence of [1, 2, 3]) appendPing(batch, sequence);
    assert.equal(device.write(batch), 0);
    const replies = await bench.receive(3);
    for (const [i, { bytes, length }] of replies.entries()) {
      assert.equal(ipv4.validate(bytes, 0, length), 0);
      assert.equal(ipv4.source(bytes, 0), HOST);
      assert.equal(ipv4.destination(bytes, 0), PEER);
      assert.equal(bytes[20], 0);
      assert.equal(readU16be(bytes, 24), 0x1234);
      assert.equal(readU16be(bytes, 26), i + 1);
    }
    assert.deepEqual((await bench.receiveUpTo(9)).map(sequenceOf), [9]);
    const { count } = batch;
    assert.ok(count > 0);
    for (let row = 0; row < count; row++) {
      assert.equal(batch.peer[row], -1);
      assert.equal(batch.verdict[row], Verdict.Undecided);
      assert.equal(batch.partial[row], 0);
    }
  });

  Deno.test("only rows for the host are written", async () => {
    using bench = new Bench(system);
    const { batch, device } = bench;
    batch.clear();
    for (const sequence of [1, 2, 3]) appendPing(batch, sequence);
    batch.decide(0, Verdict.Drop, 1);
    batch.decide(2, Verdict.ToPeer, 0);
    assert.equal(device.write(batch), 0);
    assert.deepEqual((await bench.receiveUpTo(9)).map(sequenceOf), [2, 9]);
  });

  Deno.test("a refused row is counted and does not end the batch", async () => {
    using bench = new Bench(system);
    const { batch, device, bytes } = bench;
    batch.clear();
    appendPing(batch, 1);
    appendPing(batch, 2);
    bytes[batch.offset[0]] = 0x35; // IP version 3
    assert.equal(device.write(batch), 1);
    assert.deepEqual((await bench.receiveUpTo(9)).map(sequenceOf), [2, 9]);
  });

  Deno.test("datagrams of a real socket arrive back to back, each with its room", async () => {
    using bench = new Bench(system);
    const sizes = [1, 4, 500, 1392, 1392, 0, 100];
    await sendDatagrams(sizes);
    const packets = await bench.receive(sizes.length);
    assert.deepEqual(
      packets.map(({ length }) => length),
      sizes.map((size) => size + 28),
    );
    for (const [i, packet] of packets.entries()) {
      const { bytes, length, at } = packet;
      assert.equal(ipv4.validate(bytes, 0, length), 0);
      assert.ok(bytes.subarray(28).every((byte) => byte === i + 1));
      assert.ok(at >= bench.areaStart + HEADROOM);
      const before = packets[i - 1];
      if (before?.batch !== packet.batch || before.row + 1 !== packet.row) {
        continue;
      }
      const full = Math.ceil(before.length / 16) * 16;
      const padded = Math.max(Math.min(full, MTU), before.length);
      assert.equal(at, before.at + padded + TAILROOM + HEADROOM);
    }
  });

  Deno.test("reading stops where rows are used up, and goes on with the next batch", async () => {
    using bench = new Bench(system, { rows: 4 });
    await sendDatagrams([1, 2, 3, 4, 5, 6]);
    const packets = await bench.receive(6);
    assert.ok(bench.longest <= 4);
    assert.deepEqual(
      packets.map(({ length }) => length - 28),
      [1, 2, 3, 4, 5, 6],
    );
  });

  Deno.test("reading stops where the area is used up, and nothing lies outside it", async () => {
    const areaBytes = 3 * (HEADROOM + MTU + 15 + TAILROOM);
    using bench = new Bench(system, { areaBytes });
    const sizes = [1392, 1392, 1392, 1392, 1392];
    await sendDatagrams(sizes);
    const guard = bench.bytes.slice(bench.areaEnd);
    const packets = await bench.receive(5);
    assert.ok(bench.longest <= 3);
    for (const { at, length } of packets) {
      assert.ok(at >= bench.areaStart + HEADROOM);
      assert.ok(at + length + TAILROOM <= bench.areaEnd);
      assert.equal(length - 28, 1392);
    }
    assert.deepEqual(bench.bytes.slice(bench.areaEnd), guard);
  });

  Deno.test("a larger packet than the MTU never arrives: the host cuts it", async () => {
    using bench = new Bench(system);
    await sendDatagrams([3000]);
    for (const { length } of await bench.receive(3)) assert.ok(length <= MTU);
  });

  Deno.test("a removed interface says so, and takes nothing more", async () => {
    using bench = new Bench(system);
    assert.equal(bench.device.gone, false);
    await system.remove();
    const end = performance.now() + PATIENCE_MS;
    while (!bench.device.gone && performance.now() < end) {
      bench.read();
      await moment();
    }
    assert.equal(bench.device.gone, true);
    assert.deepEqual(bench.read(), []);
    bench.batch.clear();
    appendPing(bench.batch, 1);
    assert.equal(bench.device.write(bench.batch), 1);
  });

  testSteadyStream(system);
}

/**
 * Registers the test that no packet costs an allocation.
 * @param about stands behind its name.
 */
export function testSteadyStream(system: TunBenchSystem, about = ""): void {
  Deno.test(`a steady stream allocates nothing${about}`, async () => {
    using bench = new Bench(system, { areaBytes: 1 << 19 });
    const { batch, device } = bench;
    const round = (): number => {
      batch.clear();
      for (let sequence = 0; sequence < 32; sequence++) {
        appendPing(batch, sequence);
      }
      device.write(batch);
      let packets = 0;
      for (let rest = 20_000; packets < 32 && rest > 0; rest--) {
        batch.clear();
        packets += device.read(batch);
      }
      return packets;
    };
    for (let i = 0; i < 1000; i++) round();
    let least = Infinity;
    for (let attempt = 0; attempt < 5; attempt++) {
      await moment();
      let packets = 0;
      const before = Deno.memoryUsage().heapUsed;
      for (let i = 0; i < 300; i++) packets += round();
      const grown = Deno.memoryUsage().heapUsed - before;
      assert.ok(packets >= 300 * 32, `${packets} packets`);
      // A collection in between hides growth: such an attempt says nothing.
      if (grown >= 0) least = Math.min(least, grown / packets);
    }
    assert.ok(least < 4, `${least} bytes a packet`);
  });
}
