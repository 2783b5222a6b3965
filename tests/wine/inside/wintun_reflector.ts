/** A worker for wintun_worker_windows.ts: gives every IPv4 datagram back to its sender. */
/// <reference lib="deno.worker" />
import { Batch } from "../../../src/core/columns/batch.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import { openPlatform } from "../../../src/io/platform.ts";
import { Ready } from "../../../src/io/ports.ts";

/** What the worker is told. */
export interface ReflectorSetup {
  readonly poller: number;
  readonly wake: number;
  readonly tun: number;
  readonly name: string;
  readonly mtu: number;
  readonly stop: Int32Array;
  /** Rows of a batch: few leave packets for the next round. */
  readonly rows: number;
}

const ARENA = 1 << 18;
const UDP = 17;

self.onmessage = ({ data }: MessageEvent<ReflectorSetup>) => {
  reflect(data);
  self.postMessage("ended");
};

function reflect(setup: ReflectorSetup): void {
  using platform = openPlatform();
  using poller = platform.attachPoller({
    descriptor: setup.poller,
    wake: setup.wake,
    tun: setup.tun,
  });
  const bytes = new Uint8Array(2 * ARENA);
  const tun = platform.attachTun({
    descriptor: setup.tun,
    name: setup.name,
    mtu: setup.mtu,
    offload: { vnetHeader: false, tso4: false, tso6: false, uso: false },
    bytes,
    readArea: { start: 0, end: ARENA },
    writeArea: { start: 0, end: 0 },
    headroom: 16,
    tailroom: 16,
    padLimit: setup.mtu,
  });
  const batch = new Batch({
    bytes,
    capacity: setup.rows,
    spareStart: ARENA,
    spareEnd: bytes.length,
    headroom: 16,
    tailroom: 16,
  });
  self.postMessage("ready");
  while (Atomics.load(setup.stop, 0) === 0) {
    if ((poller.wait(-1) & Ready.Tun) === 0) continue;
    // One batch a wait: what is left must be reported again.
    batch.clear();
    tun.read(batch);
    for (let row = 0; row < batch.count; row++) turnAround(batch, row);
    tun.write(batch);
  }
}

/** Swaps addresses and ports: the checksums stay right. */
function turnAround(batch: Batch, row: number): void {
  const { bytes } = batch;
  const at = batch.offset[row];
  if (bytes[at] >> 4 !== 4 || bytes[at + 9] !== UDP) {
    return batch.drop(row, 1);
  }
  for (const [first, size] of [[12, 4], [20, 2]]) {
    const kept = bytes.slice(at + first, at + first + size);
    bytes.copyWithin(at + first, at + first + size, at + first + 2 * size);
    bytes.set(kept, at + first + size);
  }
  batch.decide(row, Verdict.ToHost, 0);
}
