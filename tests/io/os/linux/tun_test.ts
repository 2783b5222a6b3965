/** TUN interfaces, on a real /dev/net/tun. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { createTun, isInterfaceName } from "../../../../src/io/os/linux/tun.ts";
import { TunError } from "../../../../src/io/ports.ts";
import { paddedPacketLength } from "../../../../src/io/os/tun_rows.ts";
import { testInside } from "./inside.ts";

await testInside("TUN interfaces carry packets both ways", {
  file: "./tun_inside.ts",
  caller: import.meta.url,
  needs: ["tun"],
});

Deno.test("names that the kernel would refuse are refused first", () => {
  for (const name of ["a", "sluice0", "x".repeat(15), "wg-home.1"]) {
    assert.ok(isInterfaceName(name), name);
  }
  const bad = [
    "",
    ".",
    "..",
    "x".repeat(16),
    "é".repeat(8),
    "a/b",
    "a:1",
    "tun%d",
    "a b",
    "a\0",
  ];
  for (const name of bad) assert.ok(!isInterfaceName(name), name);
});

Deno.test({
  name: "a bad name is an error of its own, before any system call",
  ignore: Deno.build.os !== "linux",
  fn() {
    using libc = openLibc();
    assert.throws(
      () => createTun(libc, { name: "way-too-long-a-name", offload: "none" }),
      (error) => error instanceof TunError && error.code === "name-invalid",
    );
  },
});

Deno.test("padding goes to 16 but not past the limit", () => {
  assert.equal(paddedPacketLength(20, 1420), 32);
  assert.equal(paddedPacketLength(32, 1420), 32);
  assert.equal(paddedPacketLength(1409, 1420), 1420);
  assert.equal(paddedPacketLength(1420, 1420), 1420);
  assert.equal(paddedPacketLength(1500, 1420), 1500);
});
