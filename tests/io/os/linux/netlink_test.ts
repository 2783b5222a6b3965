/** rtnetlink on the real kernel. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { parseAddress } from "../../../../src/core/wire/address.ts";
import { Netlink, NetlinkError } from "../../../../src/io/os/linux/netlink.ts";
import { testInside } from "./inside.ts";

await testInside("links, addresses and routes are changed by netlink", {
  file: "./netlink_inside.ts",
  caller: import.meta.url,
  needs: ["tun"],
});

Deno.test({
  name: "without privilege: the loopback interface and a way to itself",
  ignore: Deno.build.os !== "linux",
  fn() {
    using libc = openLibc();
    using netlink = new Netlink(libc);
    const loopback = netlink.link("lo");
    assert.equal(loopback?.index, 1);
    assert.equal(netlink.link("nosuch0"), undefined);
    const local = Int32Array.from(parseAddress("127.0.0.1")!);
    assert.deepEqual(netlink.lookup(local)?.index, 1);
  },
});

Deno.test({
  name: "a refusal names the request, the errno and the system's text",
  ignore: Deno.build.os !== "linux",
  fn() {
    using libc = openLibc();
    using netlink = new Netlink(libc);
    assert.throws(
      () => netlink.setLink(0x7ffffff0, { up: true }),
      (error) =>
        error instanceof NetlinkError && [1, 19].includes(error.code) &&
        /^RTM_NEWLINK \{"up":true\}: .+ \(errno (1|19)\)/.test(error.message),
    );
  },
});
