/**
 * A relay, and the sockets of a translator, in a process that may open few
 * files: takes on connections and mappings until both are refused, shows what
 * still works then, frees some, and prints what it saw.
 */
import { OpenFailure } from "../../../src/core/flow/outside_sockets.ts";
import { RelayCount } from "../../../src/datapath/relay/relay_counters.ts";
import { openPlatform } from "../../../src/io/platform.ts";
import type { StreamSockets } from "../../../src/io/ports/stream_sockets.ts";
import { LOOPBACK, openDescriptors, RelayLab } from "./relay_lab.ts";

const ROWS = 400;
const FREED = 20;

/** Sockets as those of flows, but for what is wrapped. */
function flowSockets(): StreamSockets {
  return openPlatform().openStreamSockets({ reserve: "kept" });
}

using lab = new RelayLab({ wrap: flowSockets });
const { platform } = lab;
const listener = lab.listen();
const port = lab.sockets.localPort(listener);
const outside = new Map<number, number>();

/** Dials until one is refused. @returns the row */
function dialUntilRefused(first: number): number {
  for (let row = first; row < first + ROWS; row++) {
    const opened = lab.counters.get(RelayCount.Opened);
    lab.dial(row, 1, LOOPBACK, port);
    lab.rounds();
    if (lab.counters.failures("no-descriptor") > 0) return row;
    outside.set(row, lab.accept(listener));
    lab.until(
      () => lab.counters.get(RelayCount.Opened) > opened,
      "the connection opens",
    );
  }
  throw new Error("never refused");
}

/** Whether a byte goes through a connection. */
function carries(row: number): boolean {
  lab.sendAll(lab.clients.get(row)!, Uint8Array.of(row & 0xff));
  const buffer = new Uint8Array(1);
  let count = 0;
  lab.until(() => {
    count = lab.sockets.receive(outside.get(row)!, buffer, 1);
    return count > 0;
  }, "a byte");
  return buffer[0] === (row & 0xff);
}

const refusedAt = dialUntilRefused(0);
const openAtMost = openDescriptors();
using poller = platform.openPoller();
using wake = platform.openWake();
using shared = platform.openOutside({
  poller: poller.descriptor,
  wake: wake.descriptor,
  capacity: 64,
});
const arena = new Uint8Array(1 << 20);
using nat = platform.attachOutside({
  shared: shared.shared,
  bytes: arena,
  receiveArea: { start: 0, end: 0 },
  headroom: 0,
});
const mapping = nat.open(17, 4, 40_000, 0);

// What control needs is still to be had.
const files = Array.from(
  { length: 16 },
  () => Deno.openSync("/proc/self/stat"),
);
for (const file of files) file.close();
const living = [...outside.keys()].filter(carries).length;

for (let row = 0; row < FREED; row++) {
  lab.end(lab.clients.get(row)!);
  lab.end(outside.get(row)!);
  lab.clients.delete(row);
  outside.delete(row);
}
lab.until(
  () => lab.counters.get(RelayCount.Finished) === FREED,
  "some have ended",
);
const opened = lab.counters.get(RelayCount.Opened);
lab.dial(refusedAt, 2, LOOPBACK, port);
outside.set(refusedAt, lab.accept(listener));
lab.until(
  () => lab.counters.get(RelayCount.Opened) > opened,
  "a later one opens",
);
const later = nat.open(17, 4, 40_000, 0);
console.log(JSON.stringify({
  refusedAt,
  openAtMost,
  mappingRefused: mapping === OpenFailure.OutOfResources,
  living,
  laterCarries: carries(refusedAt),
  mappingLater: later >= 0,
  lines: lab.lines,
  failures: lab.counters.snapshot().failures,
}));
