/**
 * Real sockets of mappings in one poll set: what opening costs, what a datagram
 * costs when few of many sockets are busy, and what the kernel keeps for each.
 * A program of its own, run in a network namespace.
 *
 * An outside address has 64,512 ports from 1024 on in each family, and as many
 * echo identifiers: 200,000 mappings are UDP and echo (by ping sockets here) of
 * both families.
 */
import { openLibc } from "../../ffi/libc.ts";
import { OpenFailure } from "../../src/core/flow/outside_sockets.ts";
import { Protocol } from "../../src/core/wire/protocol.ts";
import { raiseOpenFileLimit } from "../../src/io/os/linux/limits.ts";
import { Random } from "../datapath/twins/random.ts";
import { denoRun } from "../support/agent.ts";
import { Lab } from "../support/lab.ts";
import { missingForLab } from "../support/privileges.ts";
import { linuxSockets } from "../io/os/linux/linux_sockets.ts";
import { OutsideEnd } from "../support/outside_end.ts";
import { median } from "./statistics.ts";

const WANTED = [100, 1000, 10_000, 64_000, 128_000, 200_000];
/** Sockets that get a datagram at once. */
const BUSY = 64;
const ROUNDS = 200;
const FIRST_PORT = 1024;
/** What the program has open besides. */
const SPARE_FILES = 500;

/** What mappings are made of, in this order. */
const KINDS = [
  { protocol: Protocol.Udp, family: 4 },
  { protocol: Protocol.Udp, family: 6 },
  { protocol: Protocol.Icmp, family: 4 },
  { protocol: Protocol.Icmpv6, family: 6 },
] as const;

/** Measures in a namespace. @returns a Markdown table. */
export async function measureSockets(): Promise<string> {
  const missing = await missingForLab([]);
  if (missing !== undefined) return `no sockets measured: ${missing}`;
  await using lab = await Lab.create();
  const namespace = await lab.namespace("sockets");
  await namespace.sysctl("net.ipv4.ping_group_range", "0 2147483647");
  const most = Math.max(...WANTED) + SPARE_FILES;
  // Where the hard limit may not be raised, it goes as far as that.
  const { stdout } = await namespace.run([
    "sh",
    "-c",
    `prlimit --pid $$ --nofile=${most}:${most} 2>/dev/null; exec "$@"`,
    "sh",
    ...denoRun(new URL(import.meta.url).pathname),
  ], { timeoutMs: 120_000 });
  return stdout.trim();
}

/** Bytes of the kernel's own memory that is not for files. */
function kernelBytes(): number {
  const text = Deno.readTextFileSync("/proc/meminfo");
  const read = (name: string) =>
    Number(text.match(new RegExp(`^${name}:\\s+([0-9]+) kB$`, "m"))![1]);
  return (read("Slab") + read("Percpu")) * 1024;
}

/** Mappings' sockets, more and more of them. */
class Sockets implements Disposable {
  readonly #libc = openLibc();
  readonly #end = new OutsideEnd(linuxSockets(this.#libc), {
    capacity: Math.max(...WANTED),
    rows: 4096,
    receiveBytes: 200 * 92_000,
    echo: "ping",
  });
  readonly #random = new Random(1);
  /** Ports of the UDP sockets of IPv4, and the first one's handle. */
  readonly #ports: number[] = [];
  #sender = -1;
  #kind = 0;
  #port = FIRST_PORT;
  #opened = 0;

  /** Files that may be open. */
  readonly limit = raiseOpenFileLimit(this.#libc);

  get opened(): number {
    return this.#opened;
  }

  /** Opens up to so many. @returns why it came to an end before that. */
  open(wanted: number): string | undefined {
    while (this.#opened < wanted) {
      if (this.#kind === KINDS.length) return "no port is left";
      const { protocol, family } = KINDS[this.#kind];
      const { outside } = this.#end;
      const handle = outside.open(protocol, family, this.#port, this.#opened);
      if (handle >= 0) {
        if (this.#opened++ === 0) this.#sender = handle;
        if (this.#kind === 0) this.#ports.push(this.#port);
      } else if (handle !== OpenFailure.InUse) {
        return this.#libc.error("open").message;
      }
      if (++this.#port > 65535) {
        this.#port = FIRST_PORT;
        this.#kind++;
      }
    }
  }

  /** ns of waiting and receiving for a datagram at one of a few busy sockets. */
  receiveNanos(): number {
    const busy = Array.from(
      { length: BUSY },
      () => this.#random.pick(this.#ports),
    );
    const { arena, outside, poller } = this.#end;
    const { batch } = arena;
    const rounds: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      batch.clear();
      for (const port of busy) {
        this.#end.queueUdp(
          this.#sender,
          `127.0.0.1:${port}`,
          new Uint8Array(64),
        );
      }
      outside.flush();
      batch.clear();
      const start = performance.now();
      while (poller.wait(0) !== 0) {
        for (let i = 0; i < poller.outsideCount; i++) {
          const row = poller.outsideRow(i);
          outside.receive(row, poller.outsideHandle(i), batch);
        }
      }
      const nanos = (performance.now() - start) * 1e6;
      if (batch.count > 0) rounds.push(nanos / batch.count);
    }
    return median(rounds);
  }

  [Symbol.dispose](): void {
    this.#end[Symbol.dispose]();
    this.#libc[Symbol.dispose]();
  }
}

if (import.meta.main) {
  using sockets = new Sockets();
  console.log(
    `| sockets | opening one, µs | a datagram at ${BUSY} busy ones, ns | kernel's memory for each, bytes |\n` +
      "| --- | --- | --- | --- |",
  );
  const before = kernelBytes();
  const most = sockets.limit - SPARE_FILES;
  for (const wanted of [...WANTED.filter((n) => n < most), most]) {
    if (wanted > Math.max(...WANTED)) break;
    const already = sockets.opened;
    const start = performance.now();
    const failure = sockets.open(wanted);
    const micros = (performance.now() - start) * 1000 /
      (sockets.opened - already);
    const kept = (kernelBytes() - before) / sockets.opened;
    const nanos = sockets.receiveNanos();
    console.log(
      `| ${sockets.opened} | ${micros.toFixed(1)} | ${nanos.toFixed(0)} | ${
        sockets.opened < 1000 ? "" : kept.toFixed(0)
      } |`,
    );
    if (failure !== undefined) console.log(`\nThen: ${failure}.`);
  }
  console.log(`\n${sockets.limit} files may be open in one process here.`);
}
