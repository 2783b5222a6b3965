import assert from "node:assert/strict";
import { explain } from "../../../../src/core/route/rules/explain.ts";
import type { FlowFacts } from "../../../../src/core/route/rules/facts.ts";
import {
  type PathStyle,
  type Rule,
  type RuleAction,
  type RulePolicies,
  SAFE_POLICIES,
} from "../../../../src/core/route/rules/rule.ts";
import { RuleEngine } from "../../../../src/core/route/rules/rule_engine.ts";
import type { Verdict } from "../../../../src/core/route/rules/verdict.ts";
import { SeededRandom } from "../../columns/seeded_random.ts";
import {
  destination,
  DIRECT,
  Drawing,
  DROP,
  flow,
  GRE,
  ICMP,
  ICMPV6,
  owner,
  through,
  tunnel,
  UDP,
} from "./samples.ts";
import { twinDecide } from "./twin.ts";

const UP = new Map([["vpn", tunnel("up")], ["other", tunnel("up")]]);

function engine(
  rules: readonly Rule[],
  { otherwise = DIRECT, style = "posix", policies = {} }: {
    otherwise?: RuleAction;
    style?: PathStyle;
    policies?: Partial<RulePolicies>;
  } = {},
): RuleEngine {
  return new RuleEngine({
    rules,
    default: otherwise,
    policies: { ...SAFE_POLICIES, ...policies },
  }, { style });
}

function text(verdict: Verdict): string {
  const way = verdict.way === "tunnel"
    ? `tunnel ${verdict.tunnel}`
    : verdict.way;
  return `${way} ${verdict.by} ${verdict.rule}`;
}

/** Whether a rule of these conditions holds for the flow. */
function holds(
  rule: Partial<Rule>,
  facts: FlowFacts,
  style: PathStyle = "posix",
): boolean {
  const verdict = engine([{ ...rule, action: DROP }], { style })
    .decide(facts, UP);
  return verdict.way === "drop" && verdict.by === "rule";
}

function from(path: string, parents: string[] = []): FlowFacts {
  return flow("203.0.113.5", { owner: owner(path, { parents }) });
}

Deno.test("a plain name is the whole file name, in its letter case", () => {
  const rule = { processes: ["chrome"] };
  assert.ok(holds(rule, from("/opt/google/chrome/chrome")));
  for (
    const path of [
      "/usr/bin/chromedriver",
      "/usr/bin/Chrome",
      "/usr/bin/xchrome",
      "/opt/chrome/crashpad",
      "/usr/bin/chrome.sh",
    ]
  ) assert.ok(!holds(rule, from(path)), path);
});

Deno.test("on Windows letter case and the kind of slash don't matter", () => {
  const path = "C:\\Program Files\\Chrome\\CHROME.exe";
  const yes: Partial<Rule>[] = [
    { processes: ["chrome.EXE"] },
    { processes: ["chr*.exe"] },
    { paths: ["c:/program files/**"] },
    { paths: ["C:\\Program Files\\*\\chrome.exe"] },
    { directories: ["c:\\PROGRAM FILES\\"] },
    { users: ["anna"] },
    { users: ["home\\Anna"] },
  ];
  const facts = flow("10.0.0.1", {
    owner: owner(path, { user: "HOME\\anna" }),
  });
  for (const rule of yes) assert.ok(holds(rule, facts, "windows"));
  assert.ok(!holds({ processes: ["chrome"] }, facts, "windows"));
  assert.ok(!holds({ users: ["work\\anna"] }, facts, "windows"));
});

Deno.test("part of a name only by a pattern", () => {
  assert.ok(holds({ processes: ["*chrome*"] }, from("/usr/bin/chromedriver")));
  assert.ok(!holds({ processes: ["*chrome*"] }, from("/opt/chrome/other")));
});

Deno.test("a folder holds what lies below, not what begins alike", () => {
  const rule = { directories: ["/opt/app"] };
  assert.ok(holds(rule, from("/opt/app/bin/deep/x")));
  assert.ok(!holds(rule, from("/opt/apple/x")));
  assert.ok(!holds(rule, from("/opt/app")));
});

Deno.test("name, path and folder speak of one program", () => {
  const rule = {
    processes: ["sh"],
    directories: ["/opt/app"],
    children: true,
  };
  assert.ok(holds(rule, from("/usr/bin/curl", ["/bin/bash", "/opt/app/sh"])));
  assert.ok(!holds(rule, from("/opt/app/tool", ["/bin/sh"])));
});

Deno.test("children follow a matched program over any number of steps", () => {
  const facts = from("/usr/bin/curl", ["/bin/sh", "/opt/app/app"]);
  assert.ok(holds({ processes: ["app"], children: true }, facts));
  assert.ok(!holds({ processes: ["app"] }, facts));
});

Deno.test("users by name or number", () => {
  const facts = flow("10.0.0.1", {
    owner: owner("/bin/x", { user: "anna", userId: 1000 }),
  });
  assert.ok(holds({ users: ["bob", "anna"] }, facts));
  assert.ok(holds({ users: ["1000"] }, facts));
  assert.ok(!holds({ users: ["Anna", "100"] }, facts));
});

Deno.test("destinations: prefixes of their own family, names, names below", () => {
  const to = (address: string, names: string[] = []) =>
    flow(address, { names });
  const rule = (text: string) => ({ destinations: [destination(text)] });
  assert.ok(holds(rule("10.0.0.0/8"), to("10.255.0.1")));
  assert.ok(!holds(rule("10.0.0.0/8"), to("11.0.0.1")));
  assert.ok(!holds(rule("::/0"), to("11.0.0.1")));
  assert.ok(!holds(rule("0.0.0.0/0"), to("2001:db8::1")));
  assert.ok(holds(rule("2001:db8::/33"), to("2001:db8:7fff::1")));
  assert.ok(!holds(rule("2001:db8::/33"), to("2001:db8:8000::1")));
  assert.ok(holds(rule("example.org"), to("10.0.0.1", ["example.org"])));
  assert.ok(!holds(rule("example.org"), to("10.0.0.1", ["a.example.org"])));
  assert.ok(
    holds(rule("*.example.org"), to("10.0.0.1", ["x", "a.b.example.org"])),
  );
  assert.ok(!holds(rule("*.example.org"), to("10.0.0.1", ["example.org"])));
  assert.ok(!holds(rule("*.example.org"), to("10.0.0.1", ["notexample.org"])));
  assert.ok(!holds(rule("*.example.org"), to("10.0.0.1")));
});

Deno.test("ports and protocols", () => {
  const ports = [{ first: 80, last: 90 }, { first: 443, last: 443 }];
  assert.ok(holds({ ports }, flow("10.0.0.1", { port: 90 })));
  assert.ok(!holds({ ports }, flow("10.0.0.1", { port: 91 })));
  const all = [{ first: 0, last: 65535 }];
  assert.ok(
    !holds({ ports: all }, flow("10.0.0.1", { port: 0, protocol: ICMP })),
  );
  assert.ok(holds({ protocols: ["icmp"] }, flow("::1", { protocol: ICMPV6 })));
  assert.ok(!holds({ protocols: ["tcp"] }, flow("::1", { protocol: UDP })));
});

Deno.test("the first rule that holds decides, then the default", () => {
  const rules: Rule[] = [
    { processes: ["curl"], ports: [{ first: 80, last: 80 }], action: DROP },
    { processes: ["curl"], action: through("vpn") },
    { action: through("other"), protocols: ["udp"] },
  ];
  const made = engine(rules);
  const to = (more: Partial<FlowFacts>) =>
    text(made.decide(flow("203.0.113.5", more), UP));
  assert.equal(to({ port: 80 }), "drop rule 0");
  assert.equal(to({}), "tunnel vpn rule 1");
  assert.equal(
    to({ protocol: UDP, owner: owner("/x/y") }),
    "tunnel other rule 2",
  );
  assert.equal(to({ owner: owner("/x/y") }), "direct default -1");
});

Deno.test("every cell of the fallback table", () => {
  const table = {
    allowDirect: ["tunnel vpn", "tunnel vpn", "direct", "direct"],
    block: ["tunnel vpn", "tunnel vpn", "drop", "drop"],
    drop: ["drop", "drop", "drop", "drop"],
    nextRule: ["tunnel vpn", "tunnel vpn", "tunnel other", "tunnel other"],
  } as const;
  for (
    const fallback of ["allowDirect", "block", "drop", "nextRule"] as const
  ) {
    const made = engine([
      { action: through("vpn", fallback) },
      { action: through("other") },
    ]);
    const states = ["up", "degraded", "connecting", "down"] as const;
    for (const [i, state] of states.entries()) {
      const tunnels = new Map([
        ["vpn", tunnel(state)],
        ["other", tunnel("up")],
      ]);
      const verdict = made.decide(flow("10.0.0.1"), tunnels);
      const way = verdict.way === "tunnel"
        ? `tunnel ${verdict.tunnel}`
        : verdict.way;
      assert.equal(way, table[fallback][i], `${fallback}, ${state}`);
      const next = fallback === "nextRule" && i > 1;
      assert.equal(verdict.rule, next ? 1 : 0);
      if (verdict.way !== "tunnel" && fallback !== "drop") {
        assert.equal(verdict.cause, `tunnel-${state}`);
      }
    }
  }
});

Deno.test("a tunnel that is missing is down, and no rule below drops", () => {
  const made = engine([], { otherwise: through("vpn", "nextRule") });
  const verdict = made.decide(flow("10.0.0.1"), new Map());
  assert.equal(text(verdict), "drop default -1");
  assert.equal(verdict.cause, "tunnel-down");
});

Deno.test("an owner who is not known: the policy, at the rule that needs it", () => {
  const rules: Rule[] = [
    { destinations: [destination("192.168.0.0/16")], action: DIRECT },
    { processes: ["curl"], ports: [{ first: 443, last: 443 }], action: DROP },
    { action: through("vpn") },
  ];
  const decide = (
    address: string,
    port: number,
    policy?: RuleAction | {
      kind: "nextRule";
    },
  ) =>
    text(
      engine(rules, { policies: policy && { unknownOwner: policy } })
        .decide(flow(address, { port, owner: undefined }), UP),
    );
  assert.equal(decide("192.168.1.1", 443), "direct rule 0");
  assert.equal(decide("10.0.0.1", 80), "tunnel vpn rule 2");
  assert.equal(decide("10.0.0.1", 443), "drop unknown-owner 1");
  assert.equal(decide("10.0.0.1", 443, DIRECT), "direct unknown-owner 1");
  assert.equal(
    decide("10.0.0.1", 443, through("other")),
    "tunnel other unknown-owner 1",
  );
  assert.equal(
    decide("10.0.0.1", 443, through("gone", "nextRule")),
    "drop unknown-owner 1",
  );
  assert.equal(
    decide("10.0.0.1", 443, { kind: "nextRule" }),
    "tunnel vpn rule 2",
  );
});

Deno.test("IPv6 where the tunnel has none, and what it can't carry", () => {
  const decide = (
    more: Partial<FlowFacts> & { to?: string },
    policies: Partial<RulePolicies> = {},
    fallback: "allowDirect" | "block" | "drop" = "block",
  ) => {
    const made = engine([
      { processes: ["curl"], action: through("proxy", fallback) },
      { action: through("vpn") },
    ], { policies });
    const tunnels = new Map([
      [
        "proxy",
        tunnel("up", { ipv6: false, udp: false, icmp: false, other: false }),
      ],
      ["vpn", tunnel("up")],
    ]);
    const verdict = made.decide(flow(more.to ?? "10.0.0.1", more), tunnels);
    return `${text(verdict)} ${verdict.cause}`;
  };
  const six = { to: "2001:db8::1" };
  assert.equal(decide(six), "drop rule 0 no-ipv6");
  assert.equal(decide(six, { ipv6: "direct" }), "direct rule 0 no-ipv6");
  assert.equal(decide(six, { ipv6: "nextRule" }), "tunnel vpn rule 1 action");
  assert.equal(decide(six, { ipv6: "fallback" }), "drop rule 0 no-ipv6");
  assert.equal(
    decide(six, { ipv6: "fallback" }, "allowDirect"),
    "direct rule 0 no-ipv6",
  );
  assert.equal(decide(six, {}, "allowDirect"), "drop rule 0 no-ipv6");
  assert.equal(decide(six, { ipv6: "direct" }, "drop"), "drop rule 0 action");
  for (const protocol of [UDP, ICMP, GRE]) {
    assert.equal(decide({ protocol }), "drop rule 0 unsupported");
    assert.equal(
      decide({ protocol }, { unsupported: "nextRule" }),
      "tunnel vpn rule 1 action",
    );
  }
  assert.equal(decide({}), "tunnel proxy rule 0 action");
});

Deno.test("fragments", () => {
  const rules: Rule[] = [{ action: through("vpn") }];
  const decide = (fragment: "first" | "later", fragments: "drop" | "follow") =>
    text(
      engine(rules, { policies: { fragments } })
        .decide(flow("10.0.0.1", { fragment }), UP),
    );
  assert.equal(decide("first", "drop"), "drop fragments -1");
  assert.equal(decide("later", "drop"), "drop fragments -1");
  assert.equal(decide("first", "follow"), "tunnel vpn rule 0");
  assert.equal(decide("later", "follow"), "drop fragments -1");
});

Deno.test("drawn rules and flows: as the obvious twin decides, and as explained", () => {
  const random = new SeededRandom(20_250_417);
  const ways = new Map<string, number>();
  for (let round = 0; round < 400; round++) {
    const style = round % 3 === 0 ? "windows" : "posix";
    const drawing = new Drawing(random, style);
    const set = drawing.set(random.below(round % 40 === 0 ? 300 : 25));
    const made = new RuleEngine(set, { style });
    for (let i = 0; i < 25; i++) {
      const facts = drawing.flow();
      const tunnels = drawing.tunnels();
      const verdict = made.decide(facts, tunnels);
      const wanted = twinDecide(set, facts, { tunnels, style });
      assert.equal(text(verdict), wanted, JSON.stringify({ set, facts }));
      const explained = explain(made, facts, tunnels);
      assert.deepEqual(explained.verdict, verdict);
      const key = `${verdict.way} ${verdict.by}`;
      ways.set(key, (ways.get(key) ?? 0) + 1);
    }
  }
  // The drawing is worth something only where it comes by everything.
  for (
    const key of [
      "tunnel rule",
      "direct rule",
      "drop rule",
      "tunnel default",
      "direct default",
      "drop default",
      "drop unknown-owner",
      "direct unknown-owner",
      "tunnel unknown-owner",
      "drop fragments",
    ]
  ) assert.ok((ways.get(key) ?? 0) > 20, `${key}: ${ways.get(key)}`);
});

Deno.test("of 2,000 rules only those that may hold are asked", () => {
  const rules: Rule[] = Array.from({ length: 2000 }, (_, i) => {
    const kinds: Partial<Rule>[] = [
      { processes: [`program-${i}`] },
      { directories: [`/opt/app-${i}`] },
      { paths: [`/srv/app-${i}/**/bin`] },
      { destinations: [destination(`10.${i >> 8}.${i & 255}.0/24`)] },
      { destinations: [destination(`*.site-${i}.example`)] },
      { users: [`user-${i}`] },
    ];
    return { ...kinds[i % kinds.length], action: DROP };
  });
  const made = engine(rules);
  let asked = 0;
  for (const compiled of made.rules) {
    const match = compiled.match.bind(compiled);
    compiled.match = (facts) => {
      asked++;
      return match(facts);
    };
  }
  assert.equal(
    text(made.decide(flow("203.0.113.5", { names: ["a.b.example"] }), UP)),
    "direct default -1",
  );
  assert.equal(asked, 0);
  const facts = flow("10.0.3.9", {
    names: ["www.site-1000.example"],
    owner: owner("/opt/app-1999/bin/program-1998", { user: "user-5" }),
  });
  assert.equal(text(made.decide(facts, UP)), "drop rule 3");
  assert.equal(asked, 1);
  // What one flow brought up is not asked of the next.
  made.decide(flow("203.0.113.5"), UP);
  assert.equal(asked, 1);
});
