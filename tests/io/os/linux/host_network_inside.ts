/** Run by host_network_test.ts in a network namespace of its own. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { formatPrefix } from "../../../../src/core/wire/address.ts";
import { openHostNetwork } from "../../../../src/io/os/linux/host_network.ts";
import { openJournal } from "../../../../src/io/os/linux/journal.ts";
import { Netlink } from "../../../../src/io/os/linux/netlink.ts";
import { createTun } from "../../../../src/io/os/linux/tun.ts";
import type {
  CreatedTun,
  HostNetwork,
  InterfaceAddress,
  Journal,
} from "../../../../src/io/ports.ts";
import { testHostNetworks } from "../../../contract/host_network.ts";
import {
  interfaceConfig,
  type InterfaceText,
} from "../../../contract/interface_config.ts";

const libc = openLibc();
const FULL = {
  name: "t0",
  addresses: ["10.77.0.1/24", "fd77::1/64"],
  routes: ["10.99.0.0/16", "10.98.0.0/16 50", "fd99::/16"],
} as const;

/** A TUN interface t0, its network and a journal in a directory of its own. */
class Bench implements Disposable {
  readonly directory = Deno.makeTempDirSync();
  readonly tun: CreatedTun;
  readonly journal: Journal;
  readonly network: HostNetwork;
  constructor() {
    this.tun = createTun(libc, { name: "t0", offload: "none" });
    this.journal = openJournal({ directories: [this.directory] });
    this.network = openHostNetwork({ libc, journal: this.journal });
  }
  apply(text: Partial<InterfaceText> = {}) {
    return this.network.apply(interfaceConfig({ ...FULL, ...text }));
  }
  get journalFiles(): string[] {
    return [...Deno.readDirSync(this.directory)].map((file) => file.name);
  }
  [Symbol.dispose](): void {
    this.network[Symbol.dispose]();
    this.tun[Symbol.dispose]();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

function ip(...args: string[]): string {
  const output = new Deno.Command("ip", { args }).outputSync();
  assert.ok(output.success, new TextDecoder().decode(output.stderr));
  return new TextDecoder().decode(output.stdout);
}

function text(prefix: InterfaceAddress): string {
  const { family, words, prefixLength } = prefix;
  return formatPrefix({
    family,
    words: Uint32Array.from(words),
    length: prefixLength,
  });
}

/** Addresses and routes of an interface; the kernel's own link-local ones are left out. */
function stateOf(
  name: string,
): { mtu: number; up: boolean; addresses: string[]; routes: string[] } {
  using netlink = new Netlink(libc);
  const link = netlink.link(name);
  assert.ok(link);
  const byKernel = 2;
  return {
    mtu: link.mtu,
    up: link.up,
    addresses: netlink.addresses().filter((address) =>
      address.index === link.index
    )
      .map(text).filter((prefix) => !prefix.startsWith("fe80:")),
    routes: netlink.routes()
      .filter((route) =>
        route.index === link.index && route.protocol !== byKernel
      )
      .map((route) => `${text(route)} ${route.metric}`).toSorted(),
  };
}

const APPLIED = {
  mtu: 1420,
  up: true,
  addresses: ["10.77.0.1/24", "fd77::1/64"],
  routes: ["10.98.0.0/16 50", "10.99.0.0/16 0", "fd99::/16 1024"],
};

testHostNetworks({
  metrics: { ipv4: 0, ipv6: 1024 },
  open() {
    const bench = new Bench();
    ip("link", "set", "t0", "up");
    return {
      network: bench.network,
      get journalFiles() {
        return bench.journalFiles;
      },
      state() {
        const { mtu, addresses, routes } = stateOf("t0");
        return { mtu, addresses, routes };
      },
      others: {
        addAddress: (prefix) => ip("address", "add", prefix, "dev", "t0"),
        removeAddress: (prefix) => ip("address", "delete", prefix, "dev", "t0"),
        addRoute: (route) => ip("route", "add", route, "dev", "t0"),
        removeRoute: (route) => ip("route", "delete", route, "dev", "t0"),
      },
      [Symbol.dispose]: () => bench[Symbol.dispose](),
    };
  },
});

Deno.test("addresses, routes, MTU and state are applied; twice changes nothing", () => {
  using bench = new Bench();
  assert.deepEqual(bench.apply(), []);
  assert.deepEqual(stateOf("t0"), APPLIED);
  const before = ip("address", "show", "t0") + ip("route") + ip("-6", "route");
  assert.deepEqual(bench.apply(), []);
  assert.equal(
    ip("address", "show", "t0") + ip("route") + ip("-6", "route"),
    before,
  );
});

Deno.test("what somebody took away is put back", () => {
  using bench = new Bench();
  bench.apply();
  ip("-6", "route", "delete", "fd99::/16");
  // With its last address an interface loses its routes.
  ip("address", "delete", "10.77.0.1/24", "dev", "t0");
  assert.deepEqual(stateOf("t0").routes, []);
  bench.apply();
  assert.deepEqual(stateOf("t0").routes, APPLIED.routes);
  assert.deepEqual(stateOf("t0").addresses.toSorted(), APPLIED.addresses);
});

Deno.test("what others added is never removed, also where we want the same", () => {
  using bench = new Bench();
  ip("address", "add", "10.77.0.1/24", "dev", "t0");
  ip("link", "set", "t0", "up");
  ip("route", "add", "10.99.0.0/16", "dev", "t0");
  bench.apply();
  assert.deepEqual(stateOf("t0"), APPLIED);
  bench.network.reset();
  const { addresses, routes, up } = stateOf("t0");
  assert.deepEqual({ addresses, routes, up }, {
    addresses: ["10.77.0.1/24"],
    routes: ["10.99.0.0/16 0"],
    up: true,
  });
});

Deno.test("reset after the interface went away is no error", () => {
  using bench = new Bench();
  bench.apply();
  ip("link", "delete", "t0");
  bench.network.reset();
  assert.deepEqual(bench.journalFiles, []);
});

Deno.test("an interface that was made anew gets everything again", () => {
  using bench = new Bench();
  bench.apply();
  bench.tun[Symbol.dispose]();
  using _again = createTun(libc, { name: "t0", offload: "none" });
  bench.apply();
  assert.deepEqual(stateOf("t0"), APPLIED);
});

Deno.test("an interface that is down has addresses, but no routes", () => {
  using bench = new Bench();
  bench.apply({ up: false });
  assert.deepEqual(stateOf("t0"), { ...APPLIED, up: false, routes: [] });
  bench.apply();
  assert.deepEqual(stateOf("t0"), APPLIED);
  bench.apply({ up: false });
  assert.equal(stateOf("t0").up, false);
});

Deno.test("a route that another interface has is an error that names it", () => {
  using bench = new Bench();
  using _other = createTun(libc, { name: "other0", offload: "none" });
  ip("link", "set", "other0", "up");
  ip("route", "add", "10.99.0.0/16", "dev", "other0");
  assert.throws(
    () => bench.apply(),
    (error) =>
      error instanceof Error &&
      error.message ===
        "route 10.99.0.0/16: there is one already through other0",
  );
  bench.network.reset();
  assert.deepEqual(stateOf("other0").routes, ["10.99.0.0/16 0"]);
  assert.deepEqual(stateOf("t0").addresses, []);
});

Deno.test("where IPv6 is off its part is left out with a warning", () => {
  using bench = new Bench();
  // A process of its own: /proc/sys/net shows the opener's namespace.
  const set = (value: string) =>
    new Deno.Command("sh", {
      args: ["-c", `echo ${value} > /proc/sys/net/ipv6/conf/t0/disable_ipv6`],
    })
      .outputSync();
  set("1");
  const omitted = ["fd77::1/64", "fd99::/16"];
  assert.deepEqual(bench.apply(), [
    { kind: "ipv6-off", reason: "disabled", interface: "t0", omitted },
  ]);
  assert.deepEqual(stateOf("t0"), {
    ...APPLIED,
    addresses: ["10.77.0.1/24"],
    routes: ["10.98.0.0/16 50", "10.99.0.0/16 0"],
  });
  assert.deepEqual(
    bench.apply({ addresses: [], routes: ["10.98.0.0/16 50"] }),
    [],
  );
  set("0");
  assert.deepEqual(bench.apply(), []);
  assert.deepEqual(stateOf("t0"), APPLIED);
  assert.deepEqual(bench.apply({ mtu: 1200 }), [
    { kind: "ipv6-off", reason: "mtu", interface: "t0", omitted },
  ]);
});

/** Starts a process that applies, waits until it has, and kills it. */
async function applyAndKill(
  name: string,
  directory: string,
  socket: string,
): Promise<number> {
  const file = new URL("./host_network_program.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", file, name, directory, socket],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await reader.read();
  assert.equal(value, "applied\n");
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  return child.pid;
}

Deno.test("after a kill the next start undoes what was left, once", async () => {
  ip("tuntap", "add", "dev", "kept0", "mode", "tun");
  const directory = Deno.makeTempDirSync();
  const socket = `${directory}/uapi.sock`;
  const pid = await applyAndKill("kept0", directory, socket);
  const left = stateOf("kept0");
  assert.deepEqual(left.addresses, ["10.77.0.1/24", "fd77::1/64"]);
  assert.ok(left.routes.length > 0);
  // A route that is not ours, to the same place but with another metric.
  ip("route", "add", "10.99.0.0/16", "dev", "kept0", "metric", "7");

  using network = openHostNetwork({
    libc,
    journal: openJournal({ directories: [directory] }),
  });
  const by = `left by process ${pid}`;
  const lines = network.recover();
  assert.deepEqual(lines.filter((line) => !line.includes("route")), [
    `removed address fd77::1/64 from kept0, ${by}`,
    `removed address 10.77.0.1/24 from kept0, ${by}`,
    `removed ${socket}, ${by}`,
  ]);
  assert.deepEqual(stateOf("kept0").addresses, []);
  assert.deepEqual(
    stateOf("kept0").routes.filter((route) => !route.endsWith(" 7")),
    [],
  );
  assert.throws(() => Deno.lstatSync(socket), Deno.errors.NotFound);
  assert.deepEqual(network.recover(), []);
  assert.deepEqual([...Deno.readDirSync(directory)], []);
  ip("link", "delete", "kept0");
  Deno.removeSync(directory);
});

Deno.test("after a kill an interface of its own is gone by itself", async () => {
  const directory = Deno.makeTempDirSync();
  const socket = `${directory}/uapi.sock`;
  const pid = await applyAndKill("own0", directory, socket);
  using network = openHostNetwork({
    libc,
    journal: openJournal({ directories: [directory] }),
  });
  // Another interface of that name has nothing to do with the dead one.
  using _tun = createTun(libc, { name: "own0", offload: "none" });
  ip("address", "add", "10.77.0.1/24", "dev", "own0");
  assert.deepEqual(network.recover(), [
    `removed ${socket}, left by process ${pid}`,
  ]);
  assert.deepEqual(stateOf("own0").addresses, ["10.77.0.1/24"]);
  Deno.removeSync(directory);
});

Deno.test("a corrupted journal is reported and put aside", () => {
  using bench = new Bench();
  Deno.writeTextFileSync(`${bench.directory}/4194305.json`, "{");
  assert.deepEqual(bench.network.recover(), [
    `put aside ${bench.directory}/4194305.json, a journal that makes no sense: not JSON`,
  ]);
  assert.deepEqual(bench.network.recover(), []);
});

Deno.test("what cannot be undone yet stays in the journal", () => {
  using bench = new Bench();
  const dead = openJournal({
    directories: [bench.directory],
    owner: {
      processId: 4_194_305,
      startTime: "1",
      boot: Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim(),
      processes: Deno.readLinkSync("/proc/self/ns/pid"),
      network: "net:[1]",
    },
  });
  dead.record("network:t0", [{
    kind: "address",
    interface: "t0",
    index: 1,
    prefix: "10.0.0.1/8",
  }]);
  assert.deepEqual(bench.network.recover(), []);
  assert.deepEqual(bench.journalFiles, ["4194305.json"]);
});
