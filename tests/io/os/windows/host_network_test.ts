/** The host's network of Windows, over a network in memory. */
import assert from "node:assert/strict";
import {
  parseAddress,
  parsePrefix,
} from "../../../../src/core/wire/address.ts";
import { openJournalIn } from "../../../../src/io/os/journal.ts";
import { prefixText } from "../../../../src/io/os/interface_change.ts";
import { hostNetworkOf } from "../../../../src/io/os/windows/host_network.ts";
import type { HostNetwork, Journal } from "../../../../src/io/ports.ts";
import { testHostNetworks } from "../../../contract/host_network.ts";
import { interfaceConfig } from "../../../contract/interface_config.ts";
import { MemoryNamePolicy, MemoryNetwork } from "./memory_network.ts";

const INDEX = 7;

/** A process whose journal others find once it is dead. */
interface Process {
  readonly id: number;
  isAlive: boolean;
}

/** A host: its network, its rules, its journals. */
class Host implements Disposable {
  readonly tables = new MemoryNetwork();
  readonly policy = new MemoryNamePolicy();
  readonly directory = Deno.makeTempDirSync();
  /** Calls of programs, and the firewall's rules. */
  readonly programs: string[] = [];
  readonly rules: string[] = [];
  readonly #processes: Process[] = [];
  refusesRules = false;
  /** What is done while somebody waits, in ms each. */
  onPause: (ms: number) => void = () => assert.fail("nobody should wait");

  constructor() {
    this.tables.addLink(INDEX, "t0");
  }

  /** A network as a process opens it. */
  network(process: Process = { id: Deno.pid, isAlive: true }): HostNetwork {
    return hostNetworkOf({
      tables: this.tables,
      policy: this.policy,
      journal: this.journal(process),
      run: (program, args) => this.#run(program, args),
      pause: (ms) => this.onPause(ms),
    });
  }

  journal(process: Process): Journal {
    this.#processes.push(process);
    const one = "windows";
    const identity = {
      processId: process.id,
      startTime: `started ${process.id}`,
      boot: one,
      processes: one,
      network: one,
    };
    return openJournalIn([this.directory], {
      owner: identity,
      isAlive: ({ processId }) =>
        this.#processes.some(({ id, isAlive }) => id === processId && isAlive),
      prepareDirectory: () => undefined,
    });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.directory, { recursive: true });
  }

  /** netsh, as far as it is asked: a name may stand for several rules. */
  #run(program: string, args: readonly string[]) {
    assert.equal(program, "netsh");
    this.programs.push(args.join(" "));
    const name = args.find((arg) => arg.startsWith("name="))!.slice(5);
    if (args[2] === "add" && this.refusesRules) {
      return { code: 5, output: "no" };
    }
    if (args[2] === "add") {
      this.rules.push(name);
      return { code: 0, output: "Ok." };
    }
    const kept = this.rules.filter((rule) => rule !== name);
    const removed = this.rules.splice(0).length - kept.length;
    this.rules.push(...kept);
    return removed > 0
      ? { code: 0, output: "Ok." }
      : { code: 1, output: "No rules match the specified criteria." };
  }
}

function linkAddress(text: string, index = INDEX) {
  const { family, words, length } = parsePrefix(text)!;
  return {
    family,
    words: Int32Array.from(words),
    prefixLength: length,
    index,
  };
}

testHostNetworks({
  metrics: { ipv4: 0, ipv6: 0 },
  open() {
    const host = new Host();
    const { tables } = host;
    return {
      network: host.network(),
      get journalFiles() {
        return [...Deno.readDirSync(host.directory)].map(({ name }) => name);
      },
      state: () => ({
        mtu: tables.family(INDEX, 4)!.mtu,
        addresses: tables.addresses().map(prefixText),
        routes: tables.routes()
          .map((route) => `${prefixText(route)} ${route.metric}`).toSorted(),
      }),
      others: {
        addAddress: (text) => tables.addAddress(linkAddress(text)),
        removeAddress: (text) => tables.removeAddress(linkAddress(text)),
        addRoute: (text) => tables.addRoute(linkAddress(text)),
        removeRoute: (text) => tables.removeRoute(linkAddress(text)),
      },
      [Symbol.dispose]: () => host[Symbol.dispose](),
    };
  },
});

const CONFIG = interfaceConfig({
  name: "t0",
  addresses: ["10.77.0.1/24", "fd77::1/64"],
  routes: ["10.99.0.0/16"],
});

Deno.test("each change is asked once, in an order that the system takes", () => {
  using host = new Host();
  const network = host.network();
  network.apply(CONFIG);
  network.apply(CONFIG);
  network.reset();
  network.reset();
  assert.deepEqual(host.tables.calls, [
    "interface 7 IPv4 mtu 1420 metric automatic discovery 0 probes 0",
    "interface 7 IPv6 mtu 1420 metric automatic discovery 0 probes 0",
    "+ 7 10.77.0.1/24",
    "+ 7 fd77::1/64",
    "+ 7 10.99.0.0/16 metric 0",
    "- 7 10.99.0.0/16",
    "- 7 10.77.0.1/24",
    "- 7 fd77::1/64",
    "interface 7 IPv4 mtu 1500 metric automatic discovery 2 probes 3",
    "interface 7 IPv6 mtu 1500 metric automatic discovery 2 probes 3",
  ]);
});

Deno.test("a way out goes ahead of others, in its family alone", () => {
  for (const route of ["0.0.0.0/0", "128.0.0.0/1"]) {
    using host = new Host();
    host.network().apply({
      ...CONFIG,
      ...interfaceConfig({ name: "t0", routes: [route] }),
    });
    assert.deepEqual(host.tables.family(INDEX, 4)?.metric, 0);
    assert.deepEqual(host.tables.family(INDEX, 6)?.metric, "automatic");
  }
});

Deno.test("an address that only listens is the source of nothing", () => {
  using host = new Host();
  const address = {
    ...linkAddress("10.77.0.9/24"),
    use: "listen-only" as const,
  };
  host.network().apply({ ...CONFIG, addresses: [address] });
  assert.ok(host.tables.calls.includes("+ 7 10.77.0.9/24 listen-only"));
});

Deno.test("a new adapter's families are waited for, IPv6 not for ever", () => {
  using host = new Host();
  host.tables.addLink(8, "late0", { families: [] });
  let waited = 0;
  host.onPause = (ms) => {
    waited += ms;
    if (waited === 100) host.tables.addFamily(8, 4);
  };
  const omitted = ["fd77::1/64"];
  assert.deepEqual(host.network().apply({ ...CONFIG, name: "late0" }), [
    { kind: "ipv6-off", reason: "disabled", interface: "late0", omitted },
  ]);
  assert.equal(waited, 1100);
});

Deno.test("an adapter that never gets IPv4 is an error", () => {
  using host = new Host();
  host.tables.addLink(8, "late0", { families: [6] });
  host.onPause = () => {};
  assert.throws(
    () => host.network().apply({ ...CONFIG, name: "late0" }),
    /gives interface late0 no IPv4/,
  );
});

Deno.test("an address that another interface has is an error that names it", () => {
  using host = new Host();
  host.tables.addLink(8, "Ethernet");
  host.tables.addAddress(linkAddress("10.77.0.1/16", 8));
  const network = host.network();
  assert.throws(
    () => network.apply(CONFIG),
    { message: "address 10.77.0.1/24: Ethernet has it" },
  );
  network.reset();
  assert.deepEqual(host.tables.addresses().map(prefixText), ["10.77.0.1/16"]);
});

Deno.test("reset after the interface went away is no error", () => {
  using host = new Host();
  const network = host.network();
  network.apply(CONFIG);
  host.tables.removeLink("t0");
  network.reset();
  assert.deepEqual([...Deno.readDirSync(host.directory)], []);
});

Deno.test("an interface that was made anew gets everything again", () => {
  using host = new Host();
  const network = host.network();
  network.apply(CONFIG);
  host.tables.removeLink("t0");
  host.tables.addLink(9, "t0");
  network.apply(CONFIG);
  assert.deepEqual(
    host.tables.addresses().map((one) => `${one.index} ${prefixText(one)}`),
    ["9 10.77.0.1/24", "9 fd77::1/64"],
  );
});

Deno.test("packets of our own go by no route of ours", () => {
  using host = new Host();
  const { tables } = host;
  tables.addLink(8, "Ethernet");
  tables.addAddress(linkAddress("192.0.2.7/24", 8));
  tables.addRoute(linkAddress("192.0.2.0/24", 8));
  const gateway = Int32Array.from(parseAddress("192.0.2.1")!);
  tables.addRoute({ ...linkAddress("0.0.0.0/0", 8), gateway });
  const network = host.network();
  network.apply({
    ...CONFIG,
    routes: interfaceConfig({ name: "t0", routes: ["0.0.0.0/0"] }).routes,
  });
  const far = parseAddress("203.0.113.9")!;
  assert.equal(network.egressFor(far)?.interfaceIndex, INDEX);
  assert.deepEqual(network.egressFor(far, 0x51c1), {
    interfaceIndex: 8,
    source: Int32Array.from(parseAddress("192.0.2.7")!),
  });
});

Deno.test("an interface that has its link goes before one that has not", () => {
  using host = new Host();
  const { tables } = host;
  tables.addLink(8, "Ethernet", { running: false });
  tables.addLink(9, "Wi-Fi");
  const far = parseAddress("203.0.113.9")!;
  const network = host.network();
  tables.addRoute(linkAddress("0.0.0.0/0", 8));
  assert.equal(network.egressFor(far)?.interfaceIndex, 8);
  tables.addRoute({ ...linkAddress("0.0.0.0/0", 9), metric: 50 });
  assert.equal(network.egressFor(far)?.interfaceIndex, 9);
});

Deno.test("what is led into loopback goes nowhere, but for its own addresses", () => {
  using host = new Host();
  for (const text of ["::/0", "198.51.100.0/24", "127.0.0.0/8"]) {
    host.tables.addRoute(linkAddress(text, 1));
  }
  const network = host.network();
  const index = (text: string) =>
    network.egressFor(parseAddress(text)!)?.interfaceIndex;
  assert.equal(index("2001:db8::1"), undefined);
  assert.equal(index("198.51.100.9"), undefined);
  assert.equal(index("127.0.0.9"), 1);
});

Deno.test("the firewall lets a listener in until reset, by one rule", () => {
  using host = new Host();
  const network = host.network();
  host.rules.push("somebody's");
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(network.admit(51820), {
      kind: "admitted",
      rule: "sluice UDP 51820",
    });
  }
  assert.deepEqual(host.rules, ["somebody's", "sluice UDP 51820"]);
  assert.match(
    host.programs.find((call) => call.includes(" add "))!,
    /dir=in action=allow protocol=UDP localport=51820 program=.+ profile=any/,
  );
  network.reset();
  assert.deepEqual(host.rules, ["somebody's"]);
  assert.deepEqual([...Deno.readDirSync(host.directory)], []);
});

Deno.test("the firewall lets connections to the interface's addresses in", () => {
  using host = new Host();
  const network = host.network();
  const added = () => host.programs.filter((call) => call.includes(" add "));
  network.apply(CONFIG);
  network.apply(CONFIG);
  assert.equal(added().length, 1);
  assert.match(
    added()[0],
    /name=sluice TCP t0 dir=in .*protocol=TCP localip=10.77.0.1,fd77::1 program=/,
  );
  network.apply({ ...CONFIG, addresses: CONFIG.addresses.slice(0, 1) });
  assert.match(added()[1], /localip=10.77.0.1 program=/);
  assert.deepEqual(host.rules, ["sluice TCP t0"]);
  network.reset();
  assert.deepEqual(host.rules, []);
});

Deno.test("a firewall that takes no rules stops nothing but its own part", () => {
  using host = new Host();
  host.refusesRules = true;
  const network = host.network();
  assert.deepEqual(network.apply(CONFIG), []);
  assert.deepEqual(network.admit(51820), {
    kind: "refused",
    reason: "netsh advfirewall: exit code 5: no",
  });
  network.reset();
  assert.deepEqual([...Deno.readDirSync(host.directory)], []);
});

Deno.test("after a kill the next start undoes what was left, once", () => {
  using host = new Host();
  const dead = { id: 4321, isAlive: true };
  const before = host.network(dead);
  before.apply(CONFIG);
  before.admit(51820);
  const key = "{0e4dd3a8-9d0c-4d65-8f5c-1c5a1b0c7f21}";
  host.policy.set(key, []);
  const guid = host.tables.link("t0")!.guid;
  const journal = host.journal({ id: 4322, isAlive: false });
  journal.record("names", [
    { kind: "name-policy", key },
    { kind: "name-servers", interface: "t0", guid },
  ]);
  const network = host.network();
  assert.deepEqual(network.recover(), [
    "removed the resolvers of t0, left by process 4322",
    "removed a rule of name resolution, left by process 4322",
  ]);
  dead.isAlive = false;
  const by = "left by process 4321";
  assert.deepEqual(network.recover(), [
    `removed firewall rule sluice UDP 51820, ${by}`,
    `removed firewall rule sluice TCP t0, ${by}`,
    `removed route 10.99.0.0/16 through t0, ${by}`,
    `removed address fd77::1/64 from t0, ${by}`,
    `removed address 10.77.0.1/24 from t0, ${by}`,
  ]);
  assert.deepEqual(network.recover(), []);
  assert.deepEqual(host.tables.addresses(), []);
  assert.deepEqual([...host.policy.rules], []);
  assert.deepEqual(host.rules, []);
});

Deno.test("what a killed process left on an adapter that is gone is nobody's", () => {
  using host = new Host();
  host.network({ id: 4321, isAlive: false }).apply(CONFIG);
  host.tables.removeLink("t0");
  host.tables.addLink(9, "t0");
  host.tables.addAddress(linkAddress("10.77.0.1/24", 9));
  assert.deepEqual(host.network().recover(), [
    "removed firewall rule sluice TCP t0, left by process 4321",
  ]);
  assert.equal(host.tables.addresses().length, 1);
});
