/**
 * A TUN device whose super-packets stay whole, as a mirror: what the host sends
 * to an address behind the interface comes back with source and destination
 * swapped, so that the host talks to itself. The pseudo-header's sum stays what
 * it was, so nothing else needs to be changed.
 */
import assert from "node:assert/strict";
import { Batch } from "../../src/core/columns/batch.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { parsePacket } from "../../src/core/wire/packet.ts";
import { PacketView } from "../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../src/core/wire/transport_checksum.ts";
import { Protocol } from "../../src/core/wire/protocol.ts";
import type { TunDevice } from "../../src/io/ports.ts";
import { within } from "../support/wait.ts";

const STREAM_BYTES = 4_000_000;
/** How often a datagram is sent, and how long its answer may take, in ms. */
const ATTEMPTS = 5;
const ANSWER_MS = 2000;
/** What stages append. */
const SPARE = 1 << 16;

/** Sizes of a mirror. */
export interface MirrorOptions {
  readonly rows?: number;
  readonly areaBytes?: number;
}

/** A device over an arena that begins with its read area. */
export interface MirrorDevice extends Disposable {
  readonly device: TunDevice;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Makes the device and its interface, up and with its addresses.
 * @param areaBytes of the read area.
 * @param arenaBytes of the arena.
 */
export type OpenMirror = (
  areaBytes: number,
  arenaBytes: number,
) => MirrorDevice;

/** An interface whose packets come back to where they are from. */
export class Mirror implements Disposable {
  readonly device: TunDevice;
  readonly batch: Batch;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The longest row, rows with a partial checksum, and wrong ones. */
  longest = 0;
  partial = 0;
  datagrams = 0;
  readonly wrong: string[] = [];
  readonly #opened: MirrorDevice;
  readonly #view = new PacketView();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(open: OpenMirror, options: MirrorOptions = {}) {
    const { rows = 64, areaBytes = 1 << 20 } = options;
    this.#opened = open(areaBytes, areaBytes + SPARE);
    this.device = this.#opened.device;
    this.bytes = this.#opened.bytes;
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
    this.#opened[Symbol.dispose]();
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
export async function stream(own: string, other: string): Promise<void> {
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

/**
 * Registers what holds for every such device.
 * @param own an address of the interface.
 * @param other one behind it.
 */
export function testDatagrams(
  open: OpenMirror,
  own: string,
  other: string,
): void {
  Deno.test(`datagrams to ${other} come one by one, their checksums complete`, async () => {
    using mirror = new Mirror(open);
    using closing = new DisposableStack();
    const socket = openSocket(closing, own);
    const { port } = socket.addr as Deno.NetAddr;
    for (const size of [0, 1, 7, 1000, 1340]) {
      const payload = Uint8Array.from({ length: size }, (_, i) => i * 7 + size);
      const [received, from] = await echo(socket, payload, {
        hostname: other,
        port,
      });
      assert.deepEqual(received, payload);
      assert.equal((from as Deno.NetAddr).hostname, other);
    }
    assert.deepEqual(mirror.wrong, []);
    assert.ok(mirror.datagrams >= 5);
  });
}

/** Sends a datagram until one of its length comes: a busy system may lose one. */
async function echo(
  socket: Deno.DatagramConn,
  payload: Uint8Array,
  to: { readonly hostname: string; readonly port: number },
): Promise<[Uint8Array, Deno.Addr]> {
  let arrival = socket.receive();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    await socket.send(payload, { transport: "udp", ...to });
    for (;;) {
      const arrived = await within(ANSWER_MS, arrival);
      if (arrived === undefined) break;
      if (arrived[0].length === payload.length) return arrived;
      arrival = socket.receive();
    }
  }
  throw new Error(`${payload.length} bytes to ${to.hostname} never came back`);
}

/** Registers what holds for a device without super-packets. */
export function testSinglePackets(
  open: OpenMirror,
  { own, other, mtu }: { own: string; other: string; mtu: number },
): void {
  Deno.test("an interface without offloads does the same with single packets", async () => {
    using mirror = new Mirror(open);
    await stream(own, other);
    assert.deepEqual(mirror.wrong, []);
    assert.equal(mirror.partial, 0);
    assert.ok(mirror.longest <= mtu);
  });
}
