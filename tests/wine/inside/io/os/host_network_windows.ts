/**
 * The host's network by iphlpapi and the stand-in for what Wine lacks of it,
 * against a real Linux network; run by host_network_test.ts, which makes t0 and
 * starts the bridge.
 */
import assert from "node:assert/strict";
import {
  parseAddress,
  parsePrefix,
} from "../../../../../src/core/wire/address.ts";
import { prefixText } from "../../../../../src/io/os/interface_change.ts";
import { hostNetworkOf } from "../../../../../src/io/os/windows/host_network.ts";
import { openIpTables } from "../../../../../src/io/os/windows/ip_helper.ts";
import {
  currentProcess,
  isAlive,
  openJournal,
} from "../../../../../src/io/os/windows/journal.ts";
import { openNamePolicy } from "../../../../../src/io/os/windows/name_policy.ts";
import { policyRoutingOf } from "../../../../../src/io/os/windows/policy_routing.ts";
import type { InterfaceAddress } from "../../../../../src/io/ports.ts";
import {
  type HostNetworkBench,
  testHostNetworks,
} from "../../../../contract/host_network.ts";
import { interfaceConfig } from "../../../../contract/interface_config.ts";
import { DEFAULT_SETTINGS } from "../../../../io/os/windows/memory_network.ts";

const NAME = "t0";

function own(
  text: string,
  index: number,
): InterfaceAddress & { index: number } {
  const { family, words, length } = parsePrefix(text)!;
  return { family, words: Int32Array.from(words), prefixLength: length, index };
}

function openNetwork(directory: string) {
  return hostNetworkOf({
    tables: openIpTables(),
    policy: openNamePolicy(),
    journal: openJournal([directory]),
    run: () => ({ code: 0, output: "" }),
    pause: () => {},
  });
}

function openBench(): HostNetworkBench {
  const directory = Deno.makeTempDirSync();
  const tables = openIpTables();
  const { index } = tables.link(NAME)!;
  const network = openNetwork(directory);
  for (const family of [4, 6] as const) {
    tables.setFamily(index, family, DEFAULT_SETTINGS);
  }
  const addresses = () =>
    tables.addresses().filter((address) => address.index === index)
      .filter((address) => !prefixText(address).startsWith("fe80:"));
  const routes = () =>
    tables.routes().filter((route) => route.index === index)
      .filter((route) => isOfSomebody(prefixText(route)));
  return {
    network,
    get journalFiles() {
      return [...Deno.readDirSync(directory)].map(({ name }) => name);
    },
    state: () => ({
      mtu: tables.family(index, 4)!.mtu,
      addresses: addresses().map(prefixText).toSorted(),
      routes: routes().map((route) => `${prefixText(route)} ${route.metric}`)
        .toSorted(),
    }),
    others: {
      addAddress: (text) => tables.addAddress(own(text, index)),
      removeAddress: (text) => tables.removeAddress(own(text, index)),
      addRoute: (text) => tables.addRoute(own(text, index)),
      removeRoute: (text) => tables.removeRoute(own(text, index)),
    },
    [Symbol.dispose]() {
      network.reset();
      for (const address of addresses()) tables.removeAddress(address);
      for (const route of routes()) tables.removeRoute(route);
      network[Symbol.dispose]();
      tables[Symbol.dispose]();
      Deno.removeSync(directory, { recursive: true });
    },
  };
}

/** Not what the system makes of an address, nor what every interface has. */
function isOfSomebody(prefix: string): boolean {
  return /^(?:10\.9|fd9)/.test(prefix);
}

testHostNetworks({ metrics: { ipv4: 0, ipv6: 1024 }, open: openBench });

Deno.test("journals of the dead are undone by the next start", () => {
  const directory = Deno.makeTempDirSync();
  using tables = openIpTables();
  const { index } = tables.link(NAME)!;
  const dead = { ...currentProcess(), processId: 999_999 };
  assert.equal(isAlive(currentProcess()), true);
  assert.equal(isAlive({ ...currentProcess(), startTime: "1" }), false);
  const journal = openJournal([directory], dead);
  using before = hostNetworkOf({
    tables: openIpTables(),
    policy: openNamePolicy(),
    journal,
    run: () => ({ code: 0, output: "" }),
    pause: () => {},
  });
  before.apply(interfaceConfig({
    name: NAME,
    addresses: ["10.77.0.1/24"],
    routes: ["10.99.0.0/16"],
  }));
  using network = openNetwork(directory);
  assert.deepEqual(network.recover(), [
    "removed firewall rule sluice TCP t0, left by process 999999",
    "removed route 10.99.0.0/16 through t0, left by process 999999",
    "removed address 10.77.0.1/24 from t0, left by process 999999",
  ]);
  assert.deepEqual(network.recover(), []);
  assert.ok(
    !tables.addresses().some((address) =>
      address.index === index && address.family === 4
    ),
  );
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("traffic is led into an interface by routes, and let go", () => {
  using bench = openBench();
  const directory = Deno.makeTempDirSync();
  using tables = openIpTables();
  const { index } = tables.link(NAME)!;
  bench.network.apply(interfaceConfig({
    name: NAME,
    addresses: ["10.77.0.1/24", "fd77::1/64"],
  }));
  const everywhere = (["0.0.0.0/0", "::/0"] as const).map((text) => {
    const { family, words, length } = parsePrefix(text)!;
    return {
      family,
      words,
      prefixLength: length,
      way: { kind: "interface", index },
    } as const;
  });
  using routing = policyRoutingOf({
    tables: openIpTables(),
    journal: openJournal([directory]),
  });
  const egress = (text: string, mark?: number) =>
    bench.network.egressFor(parseAddress(text)!, mark)?.interfaceIndex;
  const config = { table: 1, routes: everywhere, rules: [] };
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(routing.apply(config), []);
    assert.equal(egress("203.0.113.9"), index);
    assert.equal(egress("2001:db8::9"), index);
    assert.equal(egress("203.0.113.9", 1), undefined);
  }
  routing.reset();
  assert.equal(egress("203.0.113.9"), undefined);
  assert.deepEqual([...Deno.readDirSync(directory)], []);
  Deno.removeSync(directory);
});

Deno.test("an interface gets resolvers, and loses them", () => {
  using tables = openIpTables();
  const { guid } = tables.link(NAME)!;
  tables.setResolvers(
    guid,
    ["198.18.0.2", "fd77::2"].map((text) => parseAddress(text)!),
  );
  tables.setResolvers(guid, []);
});
