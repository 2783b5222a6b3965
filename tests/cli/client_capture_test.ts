import assert from "node:assert/strict";
import {
  attachedNetworks,
  calledInterfaces,
  capturePolicy,
  chooseCapturePlace,
  chooseEgress,
  killSwitchPolicy,
} from "../../src/cli/client_capture.ts";
import { UserError } from "../../src/cli/errors.ts";
import {
  type AddressWords,
  formatAddress,
  formatPrefix,
  isMappedIpv4,
} from "../../src/core/wire/address.ts";

const KILL_SWITCH = {
  enabled: true,
  persist: false,
  allowLan: false,
  allowDhcp: true,
  allowInbound: [22],
};
const CAPTURE = {
  mode: "auto" as const,
  interfaceName: "sluice1",
  mtu: 1500,
  maxFlows: 16,
  maxHeldPackets: 1,
  holdMs: 1,
  tcpTimeoutMs: 1,
  udpTimeoutMs: 1,
};

/** A host whose addresses and ways out are told. */
function host(
  { local = [], egress4, egress6 }: {
    readonly local?: readonly string[];
    readonly egress4?: number;
    readonly egress6?: number;
  },
) {
  return {
    interfaceIndex: (name: string) => name === "sluice1" ? 7 : undefined,
    egressFor: (words: AddressWords) => {
      const interfaceIndex = local.includes(formatAddress(words))
        ? 1
        : isMappedIpv4(words)
        ? egress4
        : egress6;
      return interfaceIndex === undefined
        ? undefined
        : { interfaceIndex, source: undefined };
    },
  };
}

Deno.test("addresses for the capture are the first that are free", () => {
  const place = chooseCapturePlace(host({ egress4: 2 }));
  assert.equal(formatPrefix(place.address4), "198.18.0.1/30");
  assert.equal(formatPrefix(place.address6), "fd73:6c75:6963:6700::1/126");
  assert.deepEqual(place.nameservers.map((words) => formatAddress(words)), [
    "198.18.0.2",
  ]);
  const next = chooseCapturePlace(
    host({ local: ["198.18.0.1", "fd73:6c75:6963:6701::1"] }),
  );
  assert.equal(formatPrefix(next.address4), "198.18.2.1/30");
  const all = Array.from({ length: 16 }, (_, n) => `198.18.${n}.1`);
  assert.throws(() => chooseCapturePlace(host({ local: all })), UserError);
});

Deno.test("everything but our own packets is led into the interface", () => {
  const shut = capturePolicy(7, { killSwitch: KILL_SWITCH });
  assert.equal(shut.routes.length, 2);
  for (const { prefixLength, way } of shut.routes) {
    assert.equal(prefixLength, 0);
    assert.deepEqual(way, { kind: "interface", index: 7 });
  }
  assert.deepEqual(shut.rules.map(({ family, table }) => [family, table]), [
    [4, shut.table],
    [6, shut.table],
  ]);
  assert.ok(shut.rules.every(({ mark }) => mark?.except === true));
  const open = capturePolicy(7, {
    killSwitch: { ...KILL_SWITCH, allowLan: true },
  });
  const near = open.rules.filter(({ table }) => table === "main");
  assert.equal(near.length, 2);
  for (const rule of near) {
    assert.equal(rule.suppressPrefixLength, 0);
    const far = open.rules.find(({ family, table }) =>
      family === rule.family && table !== "main"
    );
    assert.ok(rule.priority < far!.priority);
  }
});

Deno.test("the kill switch as the config wants it", () => {
  const networks = attachedNetworks("sluice1", [
    { name: "lo", cidr: "127.0.0.1/8" },
    { name: "sluice1", cidr: "198.18.0.1/30" },
    { name: "eth0", cidr: "192.168.1.5/24" },
    { name: "eth0", cidr: "fe80::1/64" },
    { name: "Wi-Fi 2", cidr: "fe80::2%12/64" },
  ]);
  const texts = networks.map(({ words, prefixLength }) =>
    `${formatAddress(words)}/${prefixLength}`
  );
  assert.deepEqual(texts, [
    "192.168.1.0/24",
    "fe80::/64",
    "224.0.0.0/24",
    "255.255.255.255/32",
    "ff02::/16",
  ]);
  const policy = (change: Partial<typeof KILL_SWITCH>) =>
    killSwitchPolicy(
      { killSwitch: { ...KILL_SWITCH, ...change }, capture: CAPTURE },
      networks,
    );
  assert.deepEqual(policy({}), {
    captureInterfaces: ["sluice1"],
    networks: [],
    networkDns: "drop",
    dhcp: "pass",
    answers: "drop",
    answeredPorts: [22],
    forwarded: "drop",
    afterCrash: "go",
  });
  const open = policy({ allowLan: true, allowDhcp: false, persist: true });
  assert.deepEqual(open.networks, networks);
  assert.equal(open.dhcp, "drop");
  assert.equal(open.answers, "pass");
  assert.equal(open.afterCrash, "stay");
});

Deno.test("our own packets never leave by the capture, nor by loopback", () => {
  const both = chooseEgress(host({ egress4: 2, egress6: 7 }), "sluice1");
  assert.equal(both.ipv4?.interfaceIndex, 2);
  assert.equal(both.ipv4?.interfaceName, "interface 2");
  assert.equal(both.ipv6, undefined);
  const none = chooseEgress(host({ egress6: 1 }), "sluice1");
  assert.deepEqual(none, { ipv4: undefined, ipv6: undefined });
});

Deno.test("others call by all interfaces but loopback and the capture, where they may", () => {
  const network = {
    interfaceIndex: (name: string) => ["lo", "eth0", "eth1"].indexOf(name) + 1,
  };
  const interfaces = ["lo", "eth0", "eth0", "sluice1", "eth1"]
    .map((name) => ({ name }));
  const called = (change: Partial<typeof KILL_SWITCH>) =>
    calledInterfaces(
      network,
      { killSwitch: { ...KILL_SWITCH, ...change }, capture: CAPTURE },
      interfaces,
    );
  assert.deepEqual(called({}), [2, 3]);
  assert.deepEqual(called({ allowInbound: [] }), []);
  assert.deepEqual(called({ enabled: false }), []);
});
