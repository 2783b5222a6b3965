/**
 * Run by tun_offload_test.ts in a network namespace of its own. Two interfaces,
 * the second one moved to another namespace; the test carries packets between
 * them, as a tunnel would:
 *
 *     this kernel - near0 - [rows of a batch] - far0 - the other kernel
 */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { Batch } from "../../../../src/core/columns/batch.ts";
import { Verdict } from "../../../../src/core/columns/verdict.ts";
import { parseAddress } from "../../../../src/core/wire/address.ts";
import { parsePacket } from "../../../../src/core/wire/packet.ts";
import { PacketView } from "../../../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../../../src/core/wire/transport_checksum.ts";
import { instantiateKernels } from "../../../../src/datapath/kernels/kernels.ts";
import { Netlink } from "../../../../src/io/os/linux/netlink.ts";
import { attachTun, createTun } from "../../../../src/io/os/linux/tun.ts";
import type {
  CreatedTun,
  PacketOffload,
  TunDevice,
} from "../../../../src/io/ports.ts";

const MTU = 1420;
const HEADROOM = 16;
const TAILROOM = 16;
const STREAM_BYTES = 3_000_000;
const libc = openLibc();

/** An end of the tunnel: device, batch, and what went through. */
class End implements Disposable {
  readonly tun: CreatedTun;
  readonly device: TunDevice;
  readonly batch: Batch;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view = new PacketView();
  /** Rows read, and what the device gave for them. */
  rows = 0;
  gifts = 0;
  /** Rows written, and what the device got for them. */
  queued = 0;
  writes = 0;
  wrong: string[] = [];

  constructor(
    name: string,
    options: { rows?: number; write: "joined" | "single" },
  ) {
    this.tun = createTun(libc, { name, offload: "segments" });
    assert.deepEqual({ ...this.tun.offload, uso: undefined }, {
      vnetHeader: true,
      tso4: true,
      tso6: true,
      uso: undefined,
    });
    const kernels = instantiateKernels({ arenaBytes: 4 << 20 });
    const at = (kernels.firstFree + 4095) & ~4095;
    this.bytes = kernels.bytes;
    const writeEnd = at + (options.write === "joined" ? 2 << 20 : 1 << 20);
    this.device = attachTun(libc, {
      descriptor: this.tun.descriptor,
      name,
      mtu: MTU,
      offload: this.tun.offload,
      kernels: this.#counting(kernels),
      bytes: this.bytes,
      readArea: { start: at, end: at + (1 << 20) },
      writeArea: { start: at + (1 << 20), end: writeEnd },
      headroom: HEADROOM,
      tailroom: TAILROOM,
      padLimit: MTU,
    });
    this.batch = new Batch({
      bytes: this.bytes,
      capacity: options.rows ?? 256,
      spareStart: at + (2 << 20),
      spareEnd: at + (3 << 20),
      headroom: HEADROOM,
      tailroom: TAILROOM + 15,
    });
  }

  #counting(kernels: PacketOffload): PacketOffload {
    return {
      segment: (...args) => {
        const count = kernels.segment(...args);
        if (count > 0) {
          this.gifts++;
          this.rows += count;
        }
        return count;
      },
      coalesce: (...args) => {
        const count = kernels.coalesce(...args);
        this.queued += args[1];
        this.writes += Math.max(count, 0);
        return count;
      },
    };
  }

  /** Reads one batch and checks each packet for itself. */
  read(): number {
    const { batch, bytes, view } = this;
    batch.clear();
    const count = this.device.read(batch);
    assert.equal(count, batch.count);
    for (let row = 0; row < count; row++) {
      const at = batch.offset[row];
      const length = batch.length[row];
      const parsed = parsePacket(bytes, at, length, view);
      const checked = parsed || verifyTransport(bytes, view);
      if (checked !== 0 || length > MTU) {
        this.wrong.push(`row ${row}: ${length} bytes, reason ${checked}`);
      }
      // Room for a tag, padding included, before the next one's header.
      const next = row + 1 < count
        ? batch.offset[row + 1] - HEADROOM
        : Infinity;
      const padded = Math.max(Math.min((length + 15) & ~15, MTU), length);
      if (at + padded + TAILROOM > next) {
        this.wrong.push(`row ${row} has no room`);
      }
    }
    return count;
  }

  /** Gives all packets of the other end's batch to this device. */
  take(from: End): void {
    const { batch } = this;
    batch.clear();
    for (let row = 0; row < from.batch.count; row++) {
      const length = from.batch.length[row];
      const copy = batch.append(length, -1);
      assert.ok(copy >= 0);
      const start = from.batch.offset[row];
      this.bytes.set(
        from.bytes.subarray(start, start + length),
        batch.offset[copy],
      );
      batch.decide(copy, Verdict.ToHost, 0);
    }
    assert.equal(this.device.write(batch), 0);
  }

  [Symbol.dispose](): void {
    this.device[Symbol.dispose]();
    this.tun[Symbol.dispose]();
  }
}

/** The other host: a process in a namespace of its own that has far0. */
class Other implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;

  constructor(prefixes: readonly string[]) {
    const file = new URL("./tun_peer_program.ts", import.meta.url).pathname;
    const program = [
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      file,
      String(STREAM_BYTES),
    ];
    this.#child = new Deno.Command("unshare", {
      args: ["--net", ...program, ...prefixes],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#lines = linesOf(this.#child.stdout);
  }

  get pid(): number {
    return this.#child.pid;
  }

  async say(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  async hear(): Promise<string> {
    const { value } = await this.#lines.next();
    return value ?? "(ended)";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    await this.#child.status;
    await this.#lines.return?.();
  }
}

async function* linesOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

function setUp(name: string, addresses: readonly [string, number][]): void {
  using netlink = new Netlink(libc);
  const link = netlink.link(name);
  assert.ok(link);
  for (const [text, prefixLength] of addresses) {
    const family = text.includes(":") ? 6 : 4;
    const words = Int32Array.from(parseAddress(text)!);
    netlink.addAddress({ family, words, prefixLength, index: link.index });
  }
  netlink.setLink(link.index, { up: true, mtu: MTU });
}

/** Carries packets until `done` resolves. */
async function carry<T>(near: End, far: End, done: Promise<T>): Promise<T> {
  let ended = false;
  const end = done.finally(() => ended = true);
  end.catch(() => {});
  while (!ended) {
    let moved = 0;
    moved += near.read();
    if (near.batch.count > 0) far.take(near);
    moved += far.read();
    if (far.batch.count > 0) near.take(far);
    // Lets the sockets of this process have their turn.
    await new Promise((resolve) => setTimeout(resolve, moved > 0 ? 0 : 1));
  }
  return await end;
}

async function echoOnce(hostname: string): Promise<void> {
  using listener = Deno.listen({ hostname, port: 4000 });
  using connection = await listener.accept();
  const chunk = new Uint8Array(1 << 16);
  for (;;) {
    const length = await connection.read(chunk);
    if (length === null) break;
    for (let done = 0; done < length;) {
      done += await connection.write(chunk.subarray(done, length));
    }
  }
  await connection.closeWrite();
}

for (const write of ["joined", "single"] as const) {
  // 64 rows are soon used up: the rest of what was read comes with the next batch.
  for (const rows of [256, 64]) {
    Deno.test(`TCP streams survive, written ${write}, ${rows} rows a batch`, async () => {
      await using other = new Other(["10.88.0.2/24", "fd88::2/64"]);
      assert.equal(await other.hear(), "started");
      using near = new End("near0", { write, rows });
      using far = new End("far0", { write, rows });
      const args = ["link", "set", "far0", "netns", String(other.pid)];
      assert.ok(new Deno.Command("ip", { args }).outputSync().success);
      setUp("near0", [["10.88.0.1", 24], ["fd88::1", 64]]);
      await other.say("far0");
      assert.equal(await other.hear(), "ready");
      for (const hostname of ["10.88.0.1", "fd88::1"]) {
        const before = {
          rows: near.rows + far.rows,
          gifts: near.gifts + far.gifts,
        };
        await other.say(hostname);
        const [, heard] = await carry(
          near,
          far,
          Promise.all([echoOnce(hostname), other.hear()]),
        );
        assert.equal(heard, `echoed ${STREAM_BYTES}`);
        assert.deepEqual([...near.wrong, ...far.wrong], []);
        const cut = near.rows + far.rows - before.rows;
        const given = near.gifts + far.gifts - before.gifts;
        assert.ok(
          cut > given * 2,
          `${given} gifts were cut into ${cut} packets only`,
        );
      }
      if (write === "joined") {
        assert.ok(near.queued + far.queued > 2 * (near.writes + far.writes));
      } else {
        assert.equal(near.writes + far.writes, 0);
      }
    });
  }
}

Deno.test("a UDP super-packet arrives as its datagrams", async (t) => {
  using near = new End("near0", { write: "joined" });
  setUp("near0", [["10.88.0.1", 24], ["fd88::1", 64]]);
  const SIZE = 1200;
  for (const [family, to] of [[4, "10.88.0.2"], [6, "fd88::2"]] as const) {
    await t.step(`IPv${family}`, () => {
      while (near.read() > 0);
      const before = near.gifts;
      sendTrain(family, to, { size: SIZE, count: 10, tail: 100 });
      near.read();
      const { batch, bytes, view } = near;
      const lengths: number[] = [];
      for (let row = 0; row < batch.count; row++) {
        parsePacket(bytes, batch.offset[row], batch.length[row], view);
        if (view.protocol !== 17) continue;
        const payload = view.payloadLength - 8;
        const number = lengths.push(payload);
        for (let i = 0; i < payload; i++) {
          assert.equal(bytes[view.payloadAt + 8 + i], number);
        }
      }
      assert.deepEqual(lengths, [...new Array(10).fill(SIZE), 100]);
      assert.deepEqual(near.wrong, []);
      if (near.tun.offload.uso) assert.ok(near.gifts - before < 11);
    });
  }
});

/** Sends `count` datagrams and a shorter one by one call (UDP_SEGMENT). */
function sendTrain(
  family: 4 | 6,
  to: string,
  train: { size: number; count: number; tail: number },
): void {
  const descriptor = libc.call.socket(family === 4 ? 2 : 10, 2, 0);
  assert.ok(descriptor >= 0);
  const size = new Uint8Array(Int32Array.of(train.size).buffer);
  assert.equal(
    libc.call.setsockopt(descriptor, 17, 103, size, 4),
    0,
    String(libc.errno()),
  );
  const payload = new Uint8Array(train.size * train.count + train.tail);
  for (let i = 0; i < payload.length; i++) {
    payload[i] = 1 + Math.floor(i / train.size);
  }
  const address = new Uint8Array(family === 4 ? 16 : 28);
  address.set([family === 4 ? 2 : 10, 0, 5000 >> 8, 5000 & 255]);
  const words = parseAddress(to)!;
  const view = new DataView(address.buffer);
  if (family === 4) view.setUint32(4, words[3]);
  else for (let w = 0; w < 4; w++) view.setUint32(8 + 4 * w, words[w]);
  const sent = libc.call.sendto(
    descriptor,
    payload,
    payload.length,
    0,
    address,
    address.length,
  );
  assert.equal(sent, payload.length, String(libc.errno()));
  libc.call.close(descriptor);
}
