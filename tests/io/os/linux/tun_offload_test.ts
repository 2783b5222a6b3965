/** Super-packets of a real TUN device, cut and joined by the kernels. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { attachTun } from "../../../../src/io/os/linux/tun.ts";
import type { TunAttachment } from "../../../../src/io/ports.ts";
import { testInside } from "./inside.ts";

await testInside(
  "TUN devices with offloads carry TCP and UDP in super-packets",
  {
    file: "./tun_offload_inside.ts",
    caller: import.meta.url,
    needs: ["tun"],
  },
);

const attachment: TunAttachment = {
  descriptor: -1,
  name: "none0",
  mtu: 1420,
  offload: { vnetHeader: true, tso4: true, tso6: true, uso: false },
  bytes: new Uint8Array(1 << 20),
  readArea: { start: 0, end: 1 << 20 },
  writeArea: { start: 0, end: 0 },
  headroom: 16,
  tailroom: 16,
  padLimit: 1420,
};

Deno.test({
  name:
    "a device with offloads refuses to work without kernels, or in too small an area",
  ignore: Deno.build.os !== "linux",
  fn() {
    using libc = openLibc();
    assert.throws(() => attachTun(libc, attachment), TypeError);
    const kernels = { segment: () => 0, coalesce: () => 0 };
    const readArea = { start: 0, end: 1 << 16 };
    assert.throws(
      () => attachTun(libc, { ...attachment, kernels, readArea }),
      RangeError,
    );
    attachTun(libc, { ...attachment, kernels })[Symbol.dispose]();
  },
});
