import assert from "node:assert/strict";
import {
  fitLine,
  formatStatus,
  StatusLine,
  type StatusSnapshot,
} from "../../src/cli/status_line.ts";

const START: StatusSnapshot = {
  peers: 3,
  connectedPeers: 1,
  receivedPackets: 1000,
  receivedBytes: 1_048_576,
  sentPackets: 2000,
  sentBytes: 2_097_152,
  drops: 4,
  uptimeMs: 10_000,
};
/** Two seconds and a megabyte each way later. */
const LATER: StatusSnapshot = {
  ...START,
  receivedPackets: 1500,
  receivedBytes: START.receivedBytes + 1_000_000,
  sentBytes: START.sentBytes + 250_000,
  drops: 1204,
  uptimeMs: 12_345,
};

Deno.test("totals, and rates over the time between", () => {
  assert.equal(
    formatStatus(START),
    "up 10s | peers 1/3 | in 0 bit/s 1.00 MiB 1 000 packets | out 0 bit/s 2.00 MiB 2 000 packets | drops 4",
  );
  assert.equal(
    formatStatus({ ...LATER, uptimeMs: 12_000 }, START),
    "up 12s | peers 1/3 | in 4.00 Mbit/s 1.95 MiB 1 500 packets | out 1.00 Mbit/s 2.24 MiB 2 000 packets | drops 1 204 (+1 200)",
  );
  assert.ok(!/NaN|Infinity/.test(formatStatus(START, START)));
});

Deno.test("the line never fills the width, so that it never wraps", () => {
  assert.equal(fitLine("abcdef", 80), "abcdef");
  assert.equal(fitLine("abcdef", 6), "abcd…");
  assert.equal(fitLine("abcdef", 7), "abcdef");
  assert.equal(fitLine("abcdef", 1).length, 1);
});

Deno.test("on a terminal one line is rewritten; other lines go above it", () => {
  let screen = "";
  const write = (text: string) => void (screen += text);
  {
    using line = new StatusLine({
      write,
      format: formatStatus,
      mode: "live",
      columns: () => 20,
    });
    line.print("before\n");
    line.update(START);
    line.print("a log line\n");
    line.update(LATER);
  }
  const first = formatStatus(START).slice(0, 18) + "…";
  const second = formatStatus(LATER, START).slice(0, 18) + "…";
  const clear = "\r\x1b[K";
  assert.equal(
    screen,
    `before\n${clear}${first}${clear}a log line\n${first}${clear}${second}\n`,
  );
});

Deno.test("elsewhere a whole line now and then", () => {
  const lines: string[] = [];
  {
    using line = new StatusLine({
      format: formatStatus,
      write: (text) => void lines.push(text),
      mode: "plain",
      plainIntervalMs: 5000,
    });
    line.update({ ...START, uptimeMs: 1000 });
    line.update({ ...START, uptimeMs: 5000 });
    line.update({ ...START, uptimeMs: 9999 });
    line.print("log\n");
    line.update({ ...START, uptimeMs: 10_000 });
  }
  assert.equal(lines.length, 3);
  assert.match(lines[0], /^up 5s .*\n$/);
  assert.equal(lines[1], "log\n");
  assert.match(lines[2], /^up 10s .*\n$/);
  assert.ok(!lines.join("").includes("\x1b"));
});
