/**
 * A rule said to be covered never decides anything: checked against the engine,
 * on drawn pairs of rules and flows.
 */
import assert from "node:assert/strict";
import { covers, matchesAll, passesOn } from "../../src/config/rule_cover.ts";
import { type Rule, SAFE_POLICIES } from "../../src/core/route/rules/rule.ts";
import { RuleEngine } from "../../src/core/route/rules/rule_engine.ts";
import { SeededRandom } from "../core/columns/seeded_random.ts";
import {
  destination,
  DIRECT,
  Drawing,
  DROP,
  through,
} from "../core/route/rules/samples.ts";

Deno.test("what is covered is never reached", () => {
  const random = new SeededRandom(99);
  let covered = 0;
  for (let round = 0; round < 30_000; round++) {
    const drawing = new Drawing(random, "posix");
    const rules = [
      { ...drawing.rule(), action: DROP },
      { ...drawing.rule(), action: DROP },
    ];
    if (!covers(rules[0], rules[1])) continue;
    covered++;
    const set = { rules, default: DIRECT, policies: SAFE_POLICIES };
    const engine = new RuleEngine({
      ...set,
      policies: { ...SAFE_POLICIES, unknownOwner: { kind: "nextRule" } },
    }, { style: "posix" });
    for (let i = 0; i < 30; i++) {
      const verdict = engine.decide(drawing.flow(), new Map());
      assert.notEqual(verdict.rule, 1, JSON.stringify(rules));
    }
  }
  assert.ok(covered > 300, String(covered));
});

Deno.test("covered, and not", () => {
  const to = (...texts: string[]): Partial<Rule> => ({
    destinations: texts.map(destination),
  });
  const table: [Partial<Rule>, Partial<Rule>, boolean][] = [
    [{}, { processes: ["a"] }, true],
    [{ processes: ["a"] }, {}, false],
    [{ processes: ["a*"] }, { processes: ["ab", "ac"] }, true],
    [{ processes: ["a*"] }, { processes: ["ab", "b"] }, false],
    [{ processes: ["a*"] }, { processes: ["a*"] }, true],
    [{ processes: ["*a*"] }, { processes: ["a*"] }, false],
    [{ processes: ["a"] }, { processes: ["a"], children: true }, false],
    [{ processes: ["a"], children: true }, { processes: ["a"] }, true],
    [{ directories: ["/opt/"] }, { directories: ["/opt/x"] }, true],
    [{ directories: ["/opt"] }, { directories: ["/optx"] }, false],
    [{ directories: ["/opt"] }, { paths: ["/opt/x/y"] }, true],
    [{ directories: ["/opt"] }, { processes: ["x"] }, false],
    [{ paths: ["/opt/**"] }, { paths: ["/opt/x/y"] }, true],
    [to("10.0.0.0/8"), to("10.1.0.0/16"), true],
    [to("10.1.0.0/16"), to("10.0.0.0/8"), false],
    [to("0.0.0.0/0"), to("::/0"), false],
    [to("*.org"), to("a.org", "*.b.org", "*.org"), true],
    [to("*.a.org"), to("a.org"), false],
    [to("a.org"), to("*.a.org"), false],
    [
      { ports: [{ first: 1, last: 9 }] },
      { ports: [{ first: 2, last: 9 }] },
      true,
    ],
    [
      { ports: [{ first: 1, last: 9 }] },
      { ports: [{ first: 2, last: 10 }] },
      false,
    ],
    [{ protocols: ["tcp", "udp"] }, { protocols: ["udp"] }, true],
    [{ users: ["a"] }, { users: ["b"] }, false],
  ];
  for (const [earlier, later, wanted] of table) {
    const found = covers({ ...earlier, action: DROP }, {
      ...later,
      action: DROP,
    });
    assert.equal(found, wanted, JSON.stringify([earlier, later]));
  }
});

Deno.test("what passes on, and what has no condition", () => {
  const policies = SAFE_POLICIES;
  assert.ok(!passesOn({ action: DROP }, policies));
  assert.ok(!passesOn({ action: through("a", "block") }, policies));
  assert.ok(passesOn({ action: through("a", "nextRule") }, policies));
  const loose = { ...policies, ipv6: "nextRule" as const };
  assert.ok(passesOn({ action: through("a", "block") }, loose));
  assert.ok(!passesOn({ action: through("a", "drop") }, loose));
  assert.ok(matchesAll({ action: DROP, children: true }));
  assert.ok(!matchesAll({ action: DROP, users: ["a"] }));
});
