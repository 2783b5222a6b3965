import assert from "node:assert/strict";
import {
  type ClientSnapshot,
  formatClientLine,
  formatClientStatistics,
} from "../../src/cli/client_statistics.ts";
import { Counters } from "../../src/core/columns/counters.ts";
import { STATUS } from "../support/fake_client_port.ts";

const NOW: ClientSnapshot = {
  uptimeMs: 61_000,
  tunnels: 3,
  tunnelsUp: 2,
  flows: { total: 12, direct: 4, tunnelled: 7, dropped: 1, waiting: 0 },
  paused: false,
  outBytes: 250_000,
  inBytes: 2_000_000,
  drops: 5,
};

Deno.test("the status line: rates since the last one, totals beside them", () => {
  assert.equal(
    formatClientLine(NOW),
    "up 1m1s | tunnels 2/3 | flows 12 (7 in tunnels, 4 direct) | out 0 bit/s 244 KiB | in 0 bit/s 1.91 MiB | drops 5",
  );
  const before = {
    ...NOW,
    uptimeMs: 59_000,
    outBytes: 0,
    inBytes: 1_000_000,
    drops: 3,
  };
  assert.equal(
    formatClientLine({ ...NOW, paused: true }, before),
    "up 1m1s | PAUSED | tunnels 2/3 | flows 12 (7 in tunnels, 4 direct) | out 1.00 Mbit/s 244 KiB | in 4.00 Mbit/s 1.91 MiB | drops 5 (+2)",
  );
});

Deno.test("all counters, but those that are 0", () => {
  const counters = new Counters(new ArrayBuffer(Counters.byteLength));
  const snapshot = counters.snapshot();
  const lines = formatClientStatistics(STATUS, {
    flows: 4,
    waiting: 0,
    counters: {
      ...snapshot,
      traffic: { ...snapshot.traffic, FromHost: { packets: 3, bytes: 2048 } },
    },
    verdicts: [],
    relay: { Opened: 2, Reset: 0 },
  });
  assert.deepEqual(lines, [
    "from programs: 3 packets 2.00 KiB",
    "tunnel work: up, sent 2.00 KiB, received 1.43 MiB",
    "tunnel home: down, sent 0 B, received 0 B",
    "relay: Opened 2",
    "control: network changes 1",
  ]);
});
