import assert from "node:assert/strict";
import {
  explain,
  type Explanation,
} from "../../../../src/core/route/rules/explain.ts";
import { formatExplanation } from "../../../../src/core/route/rules/format_explanation.ts";
import type {
  FlowFacts,
  TunnelTable,
} from "../../../../src/core/route/rules/facts.ts";
import {
  type Rule,
  SAFE_POLICIES,
} from "../../../../src/core/route/rules/rule.ts";
import { RuleEngine } from "../../../../src/core/route/rules/rule_engine.ts";
import {
  destination,
  DIRECT,
  flow,
  ICMP,
  owner,
  through,
  tunnel,
} from "./samples.ts";

const RULES: readonly Rule[] = [
  {
    processes: ["firefox", "*chrome*"],
    directories: ["/opt"],
    action: through("proxy", "nextRule"),
  },
  {
    processes: ["steam"],
    children: true,
    destinations: [destination("10.0.0.0/8"), destination("*.example.org")],
    action: through("work", "allowDirect"),
  },
  {
    users: ["anna"],
    ports: [{ first: 80, last: 80 }, { first: 8000, last: 8080 }],
    protocols: ["tcp"],
    action: { kind: "drop" },
  },
];

function explained(facts: FlowFacts, tunnels: TunnelTable): Explanation {
  const set = { rules: RULES, default: DIRECT, policies: SAFE_POLICIES };
  return explain(new RuleEngine(set, { style: "posix" }), facts, tunnels);
}

const TUNNELS = new Map([
  ["proxy", tunnel("down")],
  ["work", tunnel("up")],
]);

Deno.test("every rule up to the one that decides, every condition with its reason", () => {
  const facts = flow("10.1.2.3", {
    owner: owner("/usr/bin/curl", { parents: ["/bin/sh", "/opt/steam/steam"] }),
  });
  const { trials, verdict, ifDown } = explained(facts, TUNNELS);
  assert.deepEqual(trials.map(({ match }) => match), ["mismatch", "match"]);
  assert.deepEqual(trials[0].conditions, [
    {
      condition: "process",
      result: "mismatch",
      wanted: ["firefox", "*chrome*"],
      actual: ["curl"],
    },
    {
      condition: "directory",
      result: "mismatch",
      wanted: ["/opt"],
      actual: ["/usr/bin/curl"],
    },
  ]);
  assert.deepEqual(trials[1].conditions[1], {
    condition: "children",
    result: "match",
    wanted: ["started by a program that matches"],
    actual: ["/opt/steam/steam"],
  });
  assert.deepEqual(trials[1].outcome, { effect: "tunnel", cause: "action" });
  assert.equal(verdict.way, "tunnel");
  assert.deepEqual(ifDown, {
    way: "direct",
    by: "rule",
    rule: 1,
    cause: "tunnel-down",
  });
});

Deno.test("as text", () => {
  const facts = flow("10.1.2.3", {
    names: ["www.example.com"],
    owner: owner("/usr/bin/curl", { parents: ["/bin/sh", "/opt/steam/steam"] }),
  });
  assert.deepEqual(formatExplanation(explained(facts, TUNNELS)), [
    "rule 1 (tunnel proxy, else nextRule): does not match",
    "    process: curl is not firefox or *chrome*",
    "    directory: /usr/bin/curl is not /opt",
    "rule 2 (tunnel work, else allowDirect): matches",
    "    process: steam matches steam",
    "    children: /opt/steam/steam is an ancestor of the program",
    "    destination: 10.1.2.3 or www.example.com matches 10.0.0.0/8 or *.example.org",
    "verdict: tunnel work, by rule 2",
    "if tunnel work were down: direct, by rule 2: its tunnel is down",
  ]);
});

Deno.test("a rule that matches and is passed over, and what a flow has none of", () => {
  const facts = flow("203.0.113.5", {
    protocol: ICMP,
    port: 0,
    owner: owner("/opt/google/chrome", { user: "bob", userId: 7 }),
  });
  assert.deepEqual(formatExplanation(explained(facts, TUNNELS)), [
    "rule 1 (tunnel proxy, else nextRule): matches, but its tunnel is down: next rule",
    "    process: chrome matches firefox or *chrome*",
    "    directory: /opt/google/chrome matches /opt",
    "rule 2 (tunnel work, else allowDirect): does not match",
    "    process: chrome is not steam",
    "    destination: 203.0.113.5 is not 10.0.0.0/8 or *.example.org",
    "rule 3 (drop): does not match",
    "    user: bob or 7 is not anna",
    "    protocol: ICMP is not tcp",
    "    ports: has none, must be 80 or 8000-8080",
    "verdict: direct, by default",
  ]);
});

Deno.test("an owner who is not known", () => {
  const facts = flow("203.0.113.5", { owner: undefined });
  assert.deepEqual(formatExplanation(explained(facts, TUNNELS)), [
    "rule 1 (tunnel proxy, else nextRule): needs to know the program, which could not be found",
    "    process: not known, must be firefox or *chrome*",
    "    directory: not known, must be /opt",
    "verdict: drop, by unknownOwner (rule 1 needs the program)",
  ]);
});

Deno.test("fragments are judged before any rule", () => {
  const facts = flow("203.0.113.5", { fragment: "later" });
  assert.deepEqual(formatExplanation(explained(facts, TUNNELS)), [
    "verdict: drop, by fragments",
  ]);
});
