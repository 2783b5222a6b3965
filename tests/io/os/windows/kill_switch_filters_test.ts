/** What the filters of a policy do to flows, judged as the filter engine judges. */
import assert from "node:assert/strict";
import {
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../../../../src/core/wire/address.ts";
import {
  type Filter,
  type FilterCondition,
  type FilterLayer,
  killSwitchFilters,
} from "../../../../src/io/os/windows/kill_switch_filters.ts";
import type {
  AllowedNetwork,
  KillSwitchPolicy,
} from "../../../../src/io/ports.ts";

/** A flow as the engine sees it. */
interface Flow {
  readonly layer?: FilterLayer;
  readonly remote: string;
  readonly program?: "own" | "other";
  readonly interface?: string;
  readonly loopback?: true;
  readonly protocol?: number;
  readonly localPort?: number;
  readonly remotePort?: number;
}

const TCP = 6, UDP = 17, ICMPV6 = 58;
const POLICY: KillSwitchPolicy = {
  captureInterfaces: ["sluice0"],
  networks: [network("192.168.7.0/24"), network("fd00::/8")],
  networkDns: "drop",
  dhcp: "pass",
  answers: "pass",
  answeredPorts: [],
  forwarded: "drop",
  afterCrash: "go",
};

function network(text: string): AllowedNetwork {
  const { family, words, length } = parsePrefix(text)!;
  return { family, words, prefixLength: length };
}

/** The heaviest filter that fits decides; without one the flow passes. */
function judge(filters: readonly Filter[], flow: Flow): "permit" | "block" {
  const family = flow.remote.includes(":") ? 6 : 4;
  const fitting = filters.filter((filter) =>
    filter.layer === (flow.layer ?? "connect") && filter.family === family &&
    fits(filter.conditions, flow)
  );
  const [first] = fitting.toSorted((a, b) => b.weight - a.weight);
  return first?.action ?? "permit";
}

/** Conditions of one kind are alternatives, kinds must all hold. */
function fits(conditions: readonly FilterCondition[], flow: Flow): boolean {
  const byKind = Map.groupBy(conditions, ({ kind }) => kind);
  return [...byKind.values()].every((alternatives) =>
    alternatives.some((condition) => holds(condition, flow))
  );
}

function holds(condition: FilterCondition, flow: Flow): boolean {
  switch (condition.kind) {
    case "loopback":
      return flow.loopback === true;
    case "own-program":
      return flow.program === "own";
    case "interface":
      return flow.interface === condition.name;
    case "protocol":
      return (flow.protocol ?? TCP) === condition.protocol;
    case "local-port":
      return flow.localPort === condition.port;
    case "remote-port":
      return flow.remotePort === condition.port;
    case "network": {
      const { family, words, prefixLength } = condition.network;
      const prefix = {
        family,
        words: Uint32Array.from(words),
        length: prefixLength,
      };
      return prefixContains(prefix, parseAddress(flow.remote)!);
    }
  }
}

const CASES: readonly (readonly [string, Flow, "permit" | "block"])[] = [
  ["a program", { remote: "203.0.113.5" }, "block"],
  ["a program over IPv6", { remote: "2001:db8::5" }, "block"],
  ["sluice itself", { remote: "203.0.113.5", program: "own" }, "permit"],
  [
    "a program by the capture",
    { remote: "203.0.113.5", interface: "sluice0" },
    "permit",
  ],
  [
    "a program by another adapter",
    { remote: "203.0.113.5", interface: "Ethernet" },
    "block",
  ],
  ["loopback", { remote: "127.0.0.1", loopback: true }, "permit"],
  ["the LAN", { remote: "192.168.7.9", remotePort: 445 }, "permit"],
  ["the LAN over IPv6", { remote: "fd12::9", remotePort: 445 }, "permit"],
  ["beside the LAN", { remote: "192.168.8.9", remotePort: 445 }, "block"],
  [
    "the LAN's resolver",
    { remote: "192.168.7.1", protocol: UDP, remotePort: 53 },
    "block",
  ],
  [
    "sluice at the LAN's resolver",
    { remote: "192.168.7.1", protocol: UDP, remotePort: 53, program: "own" },
    "permit",
  ],
  [
    "DHCP",
    {
      remote: "255.255.255.255",
      protocol: UDP,
      localPort: 68,
      remotePort: 67,
    },
    "permit",
  ],
  [
    "what only looks like DHCP",
    { remote: "203.0.113.5", protocol: TCP, localPort: 68, remotePort: 67 },
    "block",
  ],
  [
    "neighbour discovery",
    { remote: "ff02::1:ff00:1", protocol: ICMPV6, localPort: 135 },
    "permit",
  ],
  [
    "a ping over IPv6",
    { remote: "2001:db8::5", protocol: ICMPV6, localPort: 128 },
    "block",
  ],
  [
    "what is forwarded",
    { remote: "203.0.113.5", layer: "forward" },
    "block",
  ],
  [
    "who calls from outside",
    { remote: "203.0.113.5", layer: "accept" },
    "permit",
  ],
];

for (const afterCrash of ["go", "stay"] as const) {
  const filters = killSwitchFilters({ ...POLICY, afterCrash });
  for (const [what, flow, expected] of CASES) {
    Deno.test(`${what}: ${expected}, where it ${afterCrash}es`, () => {
      assert.equal(judge(filters, flow), expected);
    });
  }
}

Deno.test("after a crash what stays blocks all but what is always allowed", () => {
  const left = killSwitchFilters({ ...POLICY, afterCrash: "stay" })
    .filter(({ life }) => life !== "session");
  for (const [what, flow, expected] of CASES) {
    const captured = flow.interface === "sluice0";
    const now = judge(left, flow);
    assert.equal(now, captured ? "block" : expected, what);
  }
  const gone = killSwitchFilters(POLICY)
    .filter(({ life }) => life !== "session");
  assert.deepEqual(gone, []);
});

Deno.test("until the engine runs all is blocked", () => {
  const boot = killSwitchFilters({ ...POLICY, afterCrash: "stay" })
    .filter(({ life }) => life === "boot");
  assert.ok(boot.length > 0);
  assert.ok(boot.every(({ action }) => action === "block"));
});

Deno.test("answers that are dropped: who calls from outside is not let in", () => {
  const filters = killSwitchFilters({ ...POLICY, answers: "drop" });
  const flow: Flow = { remote: "203.0.113.5", layer: "accept" };
  assert.equal(judge(filters, flow), "block");
  assert.equal(judge(filters, { ...flow, program: "own" }), "permit");
  const open = killSwitchFilters({
    ...POLICY,
    answers: "drop",
    answeredPorts: [22, 3389],
  });
  const calls: readonly [Partial<Flow>, "permit" | "block"][] = [
    [{ localPort: 3389 }, "permit"],
    [{ localPort: 22, remote: "2001:db8::5" }, "permit"],
    [{ localPort: 80 }, "block"],
    [{ localPort: 22, protocol: UDP }, "block"],
    [{ localPort: 22, layer: "connect" }, "block"],
  ];
  for (const [change, expected] of calls) {
    assert.equal(judge(open, { ...flow, ...change }), expected);
  }
});

Deno.test("answers that are dropped: DHCP servers and neighbours are heard all the same", () => {
  const filters = killSwitchFilters({ ...POLICY, answers: "drop" });
  const layer = "accept";
  const server: Flow = {
    ...{ layer, remote: "192.168.7.1", protocol: UDP },
    ...{ localPort: 68, remotePort: 67 },
  };
  assert.equal(judge(filters, server), "permit");
  assert.equal(judge(filters, { ...server, remotePort: 68 }), "block");
  const neighbour: Flow = {
    ...{ layer, remote: "fe80::1", protocol: ICMPV6, localPort: 135 },
  };
  assert.equal(judge(filters, neighbour), "permit");
  assert.equal(judge(filters, { ...neighbour, localPort: 128 }), "block");
});

Deno.test("capture beneath all interfaces: all may leave, DNS to the LAN included, while we run", () => {
  const filters = killSwitchFilters({ ...POLICY, captureInterfaces: "below" });
  for (const [what, flow] of CASES) {
    if (flow.layer !== undefined) continue;
    assert.equal(judge(filters, flow), "permit", what);
  }
});
