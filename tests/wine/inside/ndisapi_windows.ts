/**
 * Capture by the stand-in for ndisapi.dll, between Wine's sockets and a peer
 * that gives everything back; run by ndisapi_test.ts.
 */
import assert from "node:assert/strict";
import { openKernel32 } from "../../../ffi/windows/kernel32.ts";
import { Batch } from "../../../src/core/columns/batch.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import { turnedRound } from "./turned_round.ts";
import { describePacket } from "../../../src/core/wire/describe.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import * as ipv4 from "../../../src/core/wire/ipv4.ts";
import * as udp from "../../../src/core/wire/udp.ts";
import { Protocol } from "../../../src/core/wire/protocol.ts";
import {
  CaptureError,
  type CaptureErrorCode,
  type PassRule,
} from "../../../src/io/ports/capture.ts";
import { NdisCaptures } from "../../../src/io/os/windows/ndis_attach.ts";
import type { TunDevice } from "../../../src/io/ports.ts";
import { NdisCapture } from "../../../src/io/os/windows/ndis_capture.ts";

const PEER4 = "192.0.2.1";
const PEER6 = "2001:db8::1";
const PORT = 7;
const READ_LENGTH = 3 << 19;
const SPARE = 1 << 18;
const HOST = 0;
const kernel32 = openKernel32();
const captures = new NdisCaptures(kernel32);

/** A capture with a device in this very thread, which reads when it is told to. */
class Bench implements Disposable {
  readonly capture: NdisCapture;
  readonly device: TunDevice;
  readonly batch: Batch;
  readonly lines: string[] = [];
  /** What was read, as text. */
  readonly seen: string[] = [];
  readonly view = new PacketView();
  #isOver = false;

  constructor(rules: readonly PassRule[] = []) {
    this.capture = new NdisCapture(kernel32, {
      onLine: (text) => void this.lines.push(text),
    });
    const spareStart = READ_LENGTH;
    const bytes = new Uint8Array(spareStart + SPARE);
    this.device = captures.attach({
      descriptor: this.capture.descriptor,
      name: this.capture.name,
      mtu: this.capture.mtu,
      bytes,
      readArea: { start: 0, end: READ_LENGTH },
    });
    this.batch = new Batch({
      bytes,
      capacity: 1024,
      spareStart,
      spareEnd: spareStart + SPARE,
      headroom: 64,
      tailroom: 0,
    });
    this.capture.setPassed("host", rules);
    this.capture.start();
  }

  /** Carries packets until what is waited for has come, or failed. */
  async during<T>(
    waited: Promise<T>,
    decide: (row: number) => void = (row) => this.pass(row),
  ): Promise<T> {
    let isOver = false;
    const end = () => void (isOver = true);
    waited.then(end, end);
    while (!isOver) {
      this.turn(decide);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    this.turn(decide);
    return await waited;
  }

  /** Reads what is there, once. */
  turn(decide: (row: number) => void): number {
    const { batch, device } = this;
    batch.clear();
    const count = device.read(batch);
    for (let row = 0; row < count; row++) {
      const at = batch.offset[row];
      parsePacket(batch.bytes, at, batch.length[row], this.view);
      this.seen.push(
        `${batch.peer[row] === HOST ? "out" : "in"} ${
          describePacket(batch.bytes, at, batch.length[row])
        }`,
      );
      decide(row);
    }
    assert.equal(device.write(batch), 0);
    return count;
  }

  pass(row: number): void {
    this.batch.decide(row, Verdict.Pass, 0);
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.device[Symbol.dispose]();
    this.capture[Symbol.dispose]();
  }
}

/** What the peer gives back of some bytes. */
async function echoByTcp(hostname: string, bytes: Uint8Array): Promise<number> {
  using connection = await Deno.connect({ hostname, port: PORT });
  const sent = (async () => {
    for (let at = 0; at < bytes.length;) {
      at += await connection.write(bytes.subarray(at));
    }
  })();
  const buffer = new Uint8Array(65_536);
  let got = 0;
  while (got < bytes.length) {
    const length = await connection.read(buffer);
    if (length === null) break;
    for (let i = 0; i < length; i++) {
      assert.equal(buffer[i], bytes[got + i]);
    }
    got += length;
  }
  await sent;
  return got;
}

async function echoByUdp(
  hostname: string,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  using guard = new DisposableStack();
  const socket = openUdp(guard, hostname.includes(":") ? "::" : "0.0.0.0");
  const to = { transport: "udp", hostname, port: PORT } as const;
  await socket.send(bytes, to);
  return (await socket.receive())[0];
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255);
}

async function withVariable(
  name: string,
  value: string,
  run: () => Promise<void> | void,
): Promise<void> {
  Deno.env.set(name, value);
  try {
    await run();
  } finally {
    Deno.env.delete(name);
  }
}

function refusal(
  code: CaptureErrorCode,
  words: RegExp,
): (error: unknown) => boolean {
  return (error) =>
    error instanceof CaptureError && error.code === code &&
    words.test(error.message) && error.advice.length > 20;
}

const open = () => new NdisCapture(kernel32, { onLine: () => {} });

Deno.test("without a driver, of another version, of another size: told, each with what to do", async () => {
  await withVariable("SLUICE_NDISAPI_BRIDGE", "1", async () => {
    assert.throws(open, refusal("driver-absent", /not loaded/));
    await withVariable(
      "SLUICE_NDISAPI_ERROR",
      "5",
      () => assert.throws(open, refusal("not-permitted", /administrator/)),
    );
  });
  await withVariable(
    "SLUICE_NDISAPI_VERSION",
    "03023000",
    () =>
      assert.throws(open, refusal("wrong-version", /version 3\.3\.2.*3\.4/)),
  );
  const jumbo = Deno.env.get("JUMBO_NDISAPI")!.replaceAll("/", "\\");
  await withVariable(
    "SLUICE_NDISAPI_DLL",
    `Z:${jumbo}`,
    () => assert.throws(open, refusal("wrong-version", /another size.*jumbo/)),
  );
  await withVariable(
    "SLUICE_NDISAPI_DLL",
    "C:\\nowhere\\ndisapi.dll",
    () => assert.throws(open, refusal("library-absent", /no ndisapi\.dll/)),
  );
});

Deno.test("adapters with name, MAC and MTU", () => {
  using capture = open();
  assert.equal(capture.name, "ndis 3.6.1");
  assert.equal(capture.transfer, "shared-memory");
  assert.equal(capture.mtu, 1500);
  const [adapter] = capture.adapters();
  assert.equal(adapter.name, "ethernet0");
  assert.match(adapter.mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
});

for (const sections of ["used", "none"] as const) {
  for (const peer of [PEER4, PEER6]) {
    Deno.test(`${peer}, sections ${sections}: what passes arrives, both ways`, () =>
      withVariable("SLUICE_NDISAPI_SECTIONS", sections, async () => {
        using bench = new Bench();
        const { capture } = bench;
        assert.equal(
          capture.transfer,
          sections === "used" ? "shared-memory" : "queue",
        );
        const bytes = pattern(1 << 20);
        assert.equal(await bench.during(echoByTcp(peer, bytes)), bytes.length);
        const datagram = pattern(1000);
        assert.deepEqual(
          await bench.during(echoByUdp(peer, datagram)),
          datagram,
        );
        const counters = capture.counters();
        const { fastFrames, queuedFrames } = counters;
        assert.ok(sections === "used" ? fastFrames > 500 : queuedFrames > 500);
        if (sections === "none") assert.equal(fastFrames, 0);
        assert.deepEqual({ ...counters, fastFrames: 0, queuedFrames: 0 }, {
          oversize: 0,
          wrapped: 0,
          unknownLink: 0,
          fastFrames: 0,
          queuedFrames: 0,
        });
        const directions = new Set(
          bench.seen.map((text) => text.split(" ")[0]),
        );
        assert.deepEqual([...directions].sort(), ["in", "out"]);
      }));
  }
}

Deno.test("what gets no verdict goes nowhere", async () => {
  using bench = new Bench();
  const abort = new AbortController();
  const connecting = Deno.connect({
    hostname: PEER4,
    port: PORT,
    signal: abort.signal,
  });
  setTimeout(() => abort.abort(), 300);
  await assert.rejects(bench.during(connecting, () => {}));
  const out = bench.seen.filter((text) => text.startsWith("out TCP"));
  assert.ok(out.length > 0);
  assert.deepEqual(bench.seen.filter((text) => text.startsWith("in TCP")), []);
});

Deno.test("what is made for the host arrives: a row turned round, and an appended one", async () => {
  using bench = new Bench();
  const { batch, view } = bench;
  const datagram = pattern(100);
  for (const way of ["in place", "appended"] as const) {
    const back = await bench.during(echoByUdp(PEER4, datagram), (row) => {
      if (view.protocol !== Protocol.Udp) return bench.pass(row);
      const { bytes, offset, length } = batch;
      let answer = row;
      if (way === "appended") {
        answer = batch.append(length[row], HOST);
        bytes.copyWithin(
          offset[answer],
          offset[row],
          offset[row] + length[row],
        );
      }
      turnedRound(bytes, offset[answer]);
      batch.decide(answer, Verdict.ToHost, 0);
    });
    assert.deepEqual(back, datagram);
  }
  assert.deepEqual(bench.seen.filter((text) => text.startsWith("in UDP")), []);
});

Deno.test("what is made for the network arrives there", async () => {
  using bench = new Bench();
  const { batch, view } = bench;
  const datagram = pattern(100);
  const back = await bench.during(echoByUdp(PEER6, datagram), (row) => {
    if (view.protocol !== Protocol.Udp) return bench.pass(row);
    const { bytes, offset, length, peer } = batch;
    const copy = batch.append(length[row], peer[row]);
    bytes.copyWithin(offset[copy], offset[row], offset[row] + length[row]);
    if (peer[row] === HOST) batch.decide(copy, Verdict.Pass, 0);
    else bench.pass(row);
  });
  assert.deepEqual(back, datagram);
});

Deno.test("a writer beside the worker: packets longer than a frame come in pieces", async () => {
  using bench = new Bench();
  const { batch, view, capture } = bench;
  const writer = captures.attachWriter(capture.descriptor);
  const long = pattern(3000);
  const back = await bench.during(echoByUdp(PEER4, pattern(10)), (row) => {
    if (view.protocol !== Protocol.Udp) return bench.pass(row);
    const packet = longAnswer(batch.bytes, batch.offset[row], long);
    assert.ok(writer.write(packet, 0, packet.length));
  });
  assert.deepEqual(back, long);
  // Nobody here has this address.
  const stranger = new Uint8Array(28);
  stranger.set([0x45, 0, 0, 28]);
  assert.equal(writer.write(stranger, 0, 28), false);
});

Deno.test("what a rule lets through is not seen; queries to its resolvers are", async () => {
  const words = Int32Array.of(0, 0, 0xffff, 0xc0000200 | 0);
  const prefix = {
    family: 4,
    words: Uint32Array.from(words),
    length: 24,
  } as const;
  {
    using bench = new Bench([{ kind: "network", prefix, dns: "captured" }]);
    assert.equal(await bench.during(echoByTcp(PEER4, pattern(1000))), 1000);
    assert.deepEqual(bench.seen.filter((text) => !/IPv6|:.*:/.test(text)), []);
  }
  using guard = new DisposableStack();
  const socket = openUdp(guard, "0.0.0.0");
  const { port } = socket.addr as Deno.NetAddr;
  const remote = Int32Array.from(words);
  remote[3] |= 1;
  using bench = new Bench([
    { kind: "tunnel", localPort: port, remote, remotePort: PORT },
  ]);
  await socket.send(pattern(10), {
    transport: "udp",
    hostname: PEER4,
    port: PORT,
  });
  const [back] = await bench.during(socket.receive());
  assert.deepEqual(back, pattern(10));
  assert.deepEqual(bench.seen.filter((text) => text.includes("UDP")), []);
  // Another program's socket is no tunnel's.
  await bench.during(echoByUdp(PEER4, pattern(10)));
  assert.equal(bench.seen.filter((text) => text.includes("UDP")).length, 2);
});

Deno.test("an end gives the adapters their modes back", async () => {
  {
    using bench = new Bench();
    await bench.during(echoByUdp(PEER4, pattern(10)));
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(await echoByUdp(PEER4, pattern(10)), pattern(10));
});

Deno.test("adapters that compute checksums: what is passed on is whole on the wire", () =>
  withVariable("SLUICE_NDISAPI_OFFLOAD", "checksums", async () => {
    using bench = new Bench();
    assert.equal(await bench.during(echoByTcp(PEER4, pattern(5000))), 5000);
  }));

/** An IPv4 datagram's answer with other data, and no checksum. */
function longAnswer(b: Uint8Array, at: number, data: Uint8Array): Uint8Array {
  const headers = ipv4.HEADER_LENGTH + udp.HEADER_LENGTH;
  const packet = new Uint8Array(headers + data.length);
  packet.set(b.subarray(at, at + headers));
  packet.set(data, headers);
  turnedRound(packet, 0);
  ipv4.setTotalLength(packet, 0, packet.length);
  ipv4.setFragment(packet, 0, 0, 0, 0);
  ipv4.updateHeaderChecksum(packet, 0);
  const { sourcePort, destinationPort, emit } = udp;
  const [from, to] = [sourcePort, destinationPort].map((port) =>
    port(packet, ipv4.HEADER_LENGTH)
  );
  emit(packet, ipv4.HEADER_LENGTH, from, to, udp.HEADER_LENGTH + data.length);
  return packet;
}

function openUdp(guard: DisposableStack, hostname: string): Deno.DatagramConn {
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  guard.defer(() => socket.close());
  return socket;
}
