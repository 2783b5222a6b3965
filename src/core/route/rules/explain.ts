/**
 * Why a flow gets its verdict: every rule that was asked, and how each of its
 * conditions came out. The same rules by the plain way, one after the other.
 */
import type { ConditionOutcome } from "./condition.ts";
import type { FlowFacts, TunnelTable } from "./facts.ts";
import type { Match } from "./compiled_rule.ts";
import { type Outcome, outcomeOf } from "./fallback.ts";
import {
  defaultVerdict,
  fragmentVerdict,
  type RuleEngine,
  ruleVerdict,
} from "./rule_engine.ts";
import type { RuleAction } from "./rule.ts";
import type { Verdict } from "./verdict.ts";

/** One rule that was asked. */
export interface RuleTrial {
  /** Its place in the list, from 0. */
  readonly rule: number;
  readonly action: RuleAction;
  readonly match: Match;
  /** Every condition of the rule, also behind one that failed. */
  readonly conditions: readonly ConditionOutcome[];
  /** What its action comes to; undefined where the rule does not hold. */
  readonly outcome: Outcome | undefined;
}

/** Why a flow gets its verdict. */
export interface Explanation {
  /** In their order, up to the one that decided. */
  readonly trials: readonly RuleTrial[];
  readonly verdict: Verdict;
  /** What it would be with that tunnel down; undefined where no tunnel is taken. */
  readonly ifDown: Verdict | undefined;
}

/** The verdict on a flow, with every rule tried for it. */
export function explain(
  engine: RuleEngine,
  facts: FlowFacts,
  tunnels: TunnelTable,
): Explanation {
  const { trials, verdict } = tryRules(engine, facts, tunnels);
  if (verdict.way !== "tunnel") return { trials, verdict, ifDown: undefined };
  const without = withoutTunnel(tunnels, verdict.tunnel);
  return { trials, verdict, ifDown: engine.decide(facts, without) };
}

function tryRules(
  engine: RuleEngine,
  facts: FlowFacts,
  tunnels: TunnelTable,
): { trials: RuleTrial[]; verdict: Verdict } {
  const early = fragmentVerdict(facts, engine.set);
  if (early !== undefined) return { trials: [], verdict: early };
  const trials: RuleTrial[] = [];
  for (const rule of engine.rules.keys()) {
    trials.push(tryRule(engine, rule, { facts, tunnels }));
    const verdict = ruleVerdict(engine, rule, { facts, tunnels });
    if (verdict !== undefined) return { trials, verdict };
  }
  return { trials, verdict: defaultVerdict(engine.set, facts, tunnels) };
}

function tryRule(
  { rules, set }: RuleEngine,
  index: number,
  { facts, tunnels }: { facts: FlowFacts; tunnels: TunnelTable },
): RuleTrial {
  const { rule, flowConditions, ownerConditions } = rules[index];
  const match = rules[index].match(facts);
  const { policies } = set;
  return {
    rule: index,
    action: rule.action,
    match,
    conditions: [
      ...ownerConditions.flatMap((item) => item.outcomes(facts.owner)),
      ...flowConditions.map((item) => item.outcome(facts)),
    ],
    outcome: match === "match"
      ? outcomeOf(rule.action, facts, { tunnels, policies })
      : undefined,
  };
}

function withoutTunnel(tunnels: TunnelTable, name: string): TunnelTable {
  const changed = new Map(tunnels);
  const tunnel = changed.get(name);
  if (tunnel !== undefined) changed.set(name, { ...tunnel, state: "down" });
  return changed;
}
