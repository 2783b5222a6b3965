/** What a process may do, its clock and its limits. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { openClock } from "../../../../src/io/os/linux/clock.ts";
import { raiseOpenFileLimit } from "../../../../src/io/os/linux/limits.ts";
import {
  effectiveCapabilities,
  readPrivileges,
} from "../../../../src/io/os/linux/privileges.ts";

const ignore = Deno.build.os !== "linux";

Deno.test({
  name: "the clock never goes back and agrees with the system's uptime",
  ignore,
  fn() {
    using libc = openLibc();
    const now = openClock(libc);
    // /proc/uptime counts the same clock, in hundredths of a second.
    const uptime = () =>
      Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]) * 1000;
    const before = uptime();
    let last = now();
    for (let i = 0; i < 1000; i++) {
      const time = now();
      assert.ok(time >= last);
      last = time;
    }
    assert.ok(before <= last + 10 && last <= uptime() + 10);
    assert.ok(openClock(libc)() >= last);
  },
});

Deno.test({
  name: "the limit of open files becomes the hard one",
  ignore,
  fn() {
    using libc = openLibc();
    const limit = raiseOpenFileLimit(libc);
    const lines = Deno.readTextFileSync("/proc/self/limits").split("\n");
    const [, soft, hard] = lines.find((line) =>
      line.startsWith("Max open files")
    )!
      .split(/\s{2,}/);
    assert.equal(soft, hard);
    assert.equal(limit, hard === "unlimited" ? Infinity : Number(hard));
    assert.equal(raiseOpenFileLimit(libc), limit);
  },
});

Deno.test({
  name: "privileges are those of the running process",
  ignore,
  fn() {
    using libc = openLibc();
    const privileges = readPrivileges(libc);
    assert.equal(privileges.userId, Deno.uid());
    const status = Deno.readTextFileSync("/proc/self/status");
    const effective = effectiveCapabilities(status);
    assert.equal(privileges.netAdmin, (effective & 0x1000n) !== 0n);
    assert.equal(privileges.netRaw, (effective & 0x2000n) !== 0n);
    const { tun } = privileges;
    if (tun.kind !== "usable") {
      assert.match(tun.reason, /^open: .+ \(errno \d+\)$/);
    }
  },
});

Deno.test("capabilities are read from the status text", () => {
  const status =
    "Name:\tdeno\nCapPrm:\t0000000000000001\nCapEff:\t0000000000003000\nCapBnd:\t1\n";
  assert.equal(effectiveCapabilities(status), 0x3000n);
  assert.equal(
    effectiveCapabilities("CapEff:\t000001ffffffffff\n"),
    0x1ff_ffff_ffffn,
  );
  assert.equal(effectiveCapabilities(""), 0n);
  assert.equal(effectiveCapabilities("CapEff: xyz"), 0n);
});
