/**
 * Run by tun_whole_test.ts in a network namespace of its own. What this kernel
 * sends to an address behind the interface comes back with source and
 * destination swapped, so that it talks to itself: the pseudo-header's sum stays
 * what it was, so nothing else needs to be changed.
 */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { Batch } from "../../../../src/core/columns/batch.ts";
import { Verdict } from "../../../../src/core/columns/verdict.ts";
import { parseAddress } from "../../../../src/core/wire/address.ts";
import {
  PacketView,
  parsePacket,
  verifyTransport,
} from "../../../../src/core/wire/packet.ts";
import { Protocol } from "../../../../src/core/wire/protocol.ts";
import { Netlink } from "../../../../src/io/os/linux/netlink.ts";
import { attachWholeTun, createTun } from "../../../../src/io/os/linux/tun.ts";
import type { CreatedTun, TunDevice } from "../../../../src/io/ports.ts";

const MTU = 1400;
const STREAM_BYTES = 4_000_000;
const libc = openLibc();

interface MirrorOptions {
  readonly offload?: "tcp" | "none";
  readonly rows?: number;
  readonly areaBytes?: number;
}

/** An interface whose packets come back to where they are from. */
class Mirror implements Disposable {
  readonly tun: CreatedTun;
  readonly device: TunDevice;
  readonly batch: Batch;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The longest row, rows with a partial checksum, and wrong ones. */
  longest = 0;
  partial = 0;
  datagrams = 0;
  readonly wrong: string[] = [];
  readonly #view = new PacketView();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: MirrorOptions = {}) {
    const { offload = "tcp", rows = 64, areaBytes = 1 << 20 } = options;
    this.tun = createTun(libc, { name: "mirror0", offload });
    using netlink = new Netlink(libc);
    const { index } = netlink.link("mirror0")!;
    for (const [text, family, prefixLength] of ADDRESSES) {
      const words = Int32Array.from(parseAddress(text)!);
      netlink.addAddress({ family, words, prefixLength, index });
    }
    netlink.setLink(index, { mtu: MTU, up: true });
    this.bytes = new Uint8Array(areaBytes + (1 << 16));
    this.device = attachWholeTun(libc, {
      descriptor: this.tun.descriptor,
      name: this.tun.name,
      mtu: MTU,
      offload: this.tun.offload,
      bytes: this.bytes,
      readArea: { start: 0, end: areaBytes },
    });
    this.batch = new Batch({
      bytes: this.bytes,
      capacity: rows,
      spareStart: areaBytes,
      spareEnd: this.bytes.length,
      headroom: 16,
      tailroom: 0,
    });
    this.#timer = setInterval(() => this.turn(), 0);
  }

  /** Reads and gives back all that waits. */
  turn(): void {
    for (let left = 200; left > 0; left--) {
      this.batch.clear();
      if (this.device.read(this.batch) === 0) return;
      for (let row = 0; row < this.batch.count; row++) this.#swap(row);
      assert.equal(this.device.write(this.batch), 0);
    }
  }

  /** From now on only the test itself reads. */
  stop(): void {
    clearInterval(this.#timer);
  }

  [Symbol.dispose](): void {
    this.stop();
    this.device[Symbol.dispose]();
    this.tun[Symbol.dispose]();
  }

  #swap(row: number): void {
    const { batch, bytes } = this;
    const view = this.#view;
    const at = batch.offset[row];
    const length = batch.length[row];
    const reason = parsePacket(bytes, at, length, view);
    if (reason !== 0) this.wrong.push(`reason ${reason}`);
    const isTcp = view.protocol === Protocol.Tcp;
    if (batch.partial[row] === 1) {
      this.partial++;
      if (!isTcp) this.wrong.push(`partial protocol ${view.protocol}`);
    } else if (verifyTransport(bytes, view) !== 0) {
      this.wrong.push(`checksum of protocol ${view.protocol}`);
    }
    if (view.destinationWords[0] >>> 24 === 0xff) return batch.drop(row, 1);
    if (isTcp) this.longest = Math.max(this.longest, length);
    else if (view.protocol === Protocol.Udp) this.datagrams++;
    const [source, size] = view.version === 4 ? [12, 4] : [8, 16];
    const from = bytes.slice(at + source, at + source + size);
    bytes.copyWithin(at + source, at + source + size, at + source + 2 * size);
    bytes.set(from, at + source + size);
    batch.decide(row, Verdict.ToHost, 0);
  }
}

const ADDRESSES = [
  ["10.88.0.1", 4, 24],
  ["fd88::1", 6, 64],
] as const;

function openSocket(
  closing: DisposableStack,
  hostname: string,
): Deno.DatagramConn {
  const options = { transport: "udp", hostname, port: 0 } as const;
  return closing.adopt(
    Deno.listenDatagram(options),
    (socket) => socket.close(),
  );
}

/** Sends a stream to itself by way of the interface. */
async function stream(own: string, other: string): Promise<void> {
  using listener = Deno.listen({ hostname: own, port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const accepted = listener.accept();
  using client = await Deno.connect({ hostname: other, port });
  using server = await accepted;
  const sent = new Uint8Array(STREAM_BYTES);
  for (let i = 0; i < sent.length; i++) sent[i] = i * 31 ^ i >>> 7;
  const writing = (async () => {
    for (let at = 0; at < sent.length;) {
      at += await client.write(sent.subarray(at));
    }
    await client.closeWrite();
  })();
  const received = new Uint8Array(STREAM_BYTES + 1);
  let length = 0;
  for (;;) {
    const count = await server.read(received.subarray(length));
    if (count === null) break;
    length += count;
  }
  await writing;
  assert.equal(length, STREAM_BYTES);
  assert.ok(sent.every((byte, i) => byte === received[i]));
}

for (
  const [own, other] of [["10.88.0.1", "10.88.0.2"], ["fd88::1", "fd88::2"]]
) {
  Deno.test(`a stream to ${other} passes in super-packets`, async () => {
    using mirror = new Mirror();
    await stream(own, other);
    assert.deepEqual(mirror.wrong, []);
    assert.ok(mirror.longest > 10 * MTU, `${mirror.longest} bytes`);
    assert.ok(mirror.partial > 0);
  });

  Deno.test(`datagrams to ${other} come one by one, their checksums complete`, async () => {
    using mirror = new Mirror();
    using closing = new DisposableStack();
    const socket = openSocket(closing, own);
    const { port } = socket.addr as Deno.NetAddr;
    for (const size of [0, 1, 7, 1000, 1340]) {
      const payload = Uint8Array.from({ length: size }, (_, i) => i * 7 + size);
      await socket.send(payload, { transport: "udp", hostname: other, port });
      const [received, from] = await socket.receive();
      assert.deepEqual(received, payload);
      assert.equal((from as Deno.NetAddr).hostname, other);
    }
    assert.deepEqual(mirror.wrong, []);
    assert.ok(mirror.datagrams >= 5);
  });
}

Deno.test("a small area holds one super-packet a batch, and none is lost", async () => {
  using mirror = new Mirror({ areaBytes: 80_000 });
  await stream("10.88.0.1", "10.88.0.2");
  assert.deepEqual(mirror.wrong, []);
  assert.ok(mirror.longest > 10 * MTU);
});

Deno.test("rows stay free for what stages append", async () => {
  using mirror = new Mirror({ rows: 16 });
  mirror.stop();
  using closing = new DisposableStack();
  const socket = openSocket(closing, "10.88.0.1");
  for (let i = 0; i < 40; i++) {
    await socket.send(new Uint8Array(10), {
      transport: "udp",
      hostname: "10.88.0.2",
      port: 9,
    });
  }
  mirror.batch.clear();
  assert.equal(mirror.device.read(mirror.batch), 14);
});

Deno.test("an interface without offloads does the same with single packets", async () => {
  using mirror = new Mirror({ offload: "none" });
  await stream("10.88.0.1", "10.88.0.2");
  assert.deepEqual(mirror.wrong, []);
  assert.equal(mirror.partial, 0);
  assert.ok(mirror.longest <= MTU);
});

Deno.test("an interface that was removed says so", () => {
  using mirror = new Mirror();
  new Deno.Command("ip", { args: ["link", "del", "mirror0"] }).outputSync();
  mirror.batch.clear();
  assert.equal(mirror.device.read(mirror.batch), 0);
  assert.equal(mirror.device.gone, true);
});
