/** Run by tun_test.ts in a network namespace of its own. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { parseAddress } from "../../../../src/core/wire/address.ts";
import { instantiateKernels } from "../../../../src/datapath/kernels/kernels.ts";
import { Netlink } from "../../../../src/io/os/linux/netlink.ts";
import { attachTun, createTun } from "../../../../src/io/os/linux/tun.ts";
import { type CreateTunOptions, TunError } from "../../../../src/io/ports.ts";
import {
  testSteadyStream,
  testTunDevices,
  TUN_BENCH,
  type TunBenchDevice,
  type TunBenchSystem,
} from "../../../contract/tun_device.ts";

const { name: NAME, mtu: MTU } = TUN_BENCH;

const libc = openLibc();

/** The contract's interfaces, in the namespace that the test has. */
function system(offload: CreateTunOptions["offload"]): TunBenchSystem {
  return {
    open: ({ areaBytes }) => openBench(offload, areaBytes),
    remove: () => ip("link", "delete", NAME),
  };
}

function openBench(
  offload: CreateTunOptions["offload"],
  areaBytes: number,
): TunBenchDevice {
  const tun = createTun(libc, { name: NAME, offload });
  using netlink = new Netlink(libc);
  const link = netlink.link(NAME);
  assert.ok(link);
  netlink.addAddress({
    family: 4,
    words: Int32Array.from(parseAddress(TUN_BENCH.address)!),
    prefixLength: TUN_BENCH.prefixLength,
    index: link.index,
  });
  netlink.setLink(link.index, { mtu: MTU, up: true });
  const kernels = instantiateKernels({ arenaBytes: 3 * areaBytes + (1 << 18) });
  const { bytes } = kernels;
  const areaStart = (kernels.firstFree + 15) & ~15;
  const areaEnd = areaStart + areaBytes;
  const device = attachTun(libc, {
    descriptor: tun.descriptor,
    name: tun.name,
    mtu: MTU,
    offload: tun.offload,
    kernels,
    bytes,
    readArea: { start: areaStart, end: areaEnd },
    writeArea: { start: areaEnd, end: areaEnd + areaBytes },
    headroom: TUN_BENCH.headroom,
    tailroom: TUN_BENCH.tailroom,
    padLimit: MTU,
  });
  return {
    device,
    bytes,
    areaStart,
    areaEnd,
    [Symbol.dispose]: () => {
      device[Symbol.dispose]();
      tun[Symbol.dispose]();
    },
  };
}

function ip(...args: string[]): void {
  assert.ok(new Deno.Command("ip", { args }).outputSync().success);
}

testTunDevices(system("none"));
testSteadyStream(system("segments"), ", offload segments");

Deno.test("an interface of that name that somebody holds is «name taken»", () => {
  using _bench = openBench("none", 1 << 16);
  const again = () => createTun(libc, { name: NAME, offload: "none" });
  assert.throws(
    again,
    (error) => error instanceof TunError && error.code === "name-taken",
  );
  // lo is no TUN interface at all.
  const loopback = () => createTun(libc, { name: "lo", offload: "none" });
  assert.throws(
    loopback,
    (error) => error instanceof TunError && error.code === "name-taken",
  );
});

Deno.test("closing the descriptor ends the interface", () => {
  using netlink = new Netlink(libc);
  {
    using _bench = openBench("none", 1 << 16);
    assert.equal(netlink.link(NAME)?.mtu, MTU);
    assert.equal(netlink.link(NAME)?.up, true);
  }
  assert.equal(netlink.link(NAME), undefined);
});

Deno.test("a persistent interface is taken over and known for what it is", () => {
  ip("tuntap", "add", "dev", "kept0", "mode", "tun");
  {
    using tun = createTun(libc, { name: "kept0", offload: "none" });
    assert.equal(tun.persistent, true);
  }
  using netlink = new Netlink(libc);
  assert.ok(netlink.link("kept0"));
  ip("link", "delete", "kept0");
  using tun = createTun(libc, { name: "kept0", offload: "none" });
  assert.equal(tun.persistent, false);
});

/** What the program says that tries to make an interface, started by `command`. */
function denied(...command: string[]): unknown {
  const file = new URL("./tun_denied_program.ts", import.meta.url).pathname;
  const args = [
    ...command.slice(1),
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    file,
  ];
  const { stdout } = new Deno.Command(command[0], { args }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("without the right to make interfaces it is «not permitted»", () => {
  assert.deepEqual(
    denied("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"),
    { code: "not-permitted", netAdmin: false, tun: "usable" },
  );
});

Deno.test("without /dev/net/tun it is «device absent», where it is locked «device denied»", () => {
  const within = (prepare: string) =>
    denied("unshare", "--mount", "sh", "-c", `${prepare} && exec "$0" "$@"`);
  assert.deepEqual(within("mount -t tmpfs none /dev/net"), {
    code: "device-absent",
    netAdmin: true,
    tun: "absent",
  });
  assert.deepEqual(
    within(
      "mount --bind /dev/net /dev/net && mount -o remount,bind,nodev /dev/net",
    ),
    {
      code: "device-denied",
      netAdmin: true,
      tun: "denied",
    },
  );
});
