/**
 * Decides what becomes of a flow: the rules in their order, the first that
 * holds; then its action with the tunnel as it stands; then the default.
 *
 * A verdict belongs to the flow and to the moment: it rests on the states of
 * the tunnels and on the names known then. Who keeps it asks again when those
 * change. Once compiled nothing here changes but a scratch set.
 */
import { CandidateSet } from "./candidate_set.ts";
import { CompiledRule } from "./compiled_rule.ts";
import type { FlowFacts, TunnelTable } from "./facts.ts";
import { outcomeOf } from "./fallback.ts";
import type { PathStyle, RuleSet } from "./rule.ts";
import { RuleIndex } from "./rule_index.ts";
import { toLastVerdict, toVerdict, type Verdict } from "./verdict.ts";

/** Compiled rules. */
export class RuleEngine {
  readonly set: RuleSet;
  /** In the order of the set. */
  readonly rules: readonly CompiledRule[];
  readonly #known: RuleIndex;
  readonly #unknown: RuleIndex;
  readonly #candidates: CandidateSet;

  /** @param options.style how names and paths of programs are compared. */
  constructor(set: RuleSet, { style }: { style: PathStyle }) {
    this.set = set;
    this.rules = set.rules.map((rule) => new CompiledRule(rule, style));
    this.#known = new RuleIndex(set.rules, { style, owners: "known" });
    this.#unknown = new RuleIndex(set.rules, { style, owners: "unknown" });
    this.#candidates = new CandidateSet(set.rules.length);
  }

  /** The verdict on a flow now. Never throws. */
  decide(facts: FlowFacts, tunnels: TunnelTable): Verdict {
    const early = fragmentVerdict(facts, this.set);
    if (early !== undefined) return early;
    const candidates = this.#candidates;
    candidates.clear();
    const index = facts.owner === undefined ? this.#unknown : this.#known;
    index.collect(facts, candidates);
    for (let i = candidates.next(0); i >= 0; i = candidates.next(i + 1)) {
      const verdict = ruleVerdict(this, i, { facts, tunnels });
      if (verdict !== undefined) return verdict;
    }
    return defaultVerdict(this.set, facts, tunnels);
  }
}

/**
 * The verdict where the fragment's kind decides alone. A later fragment comes
 * here only where its first one is not known.
 */
export function fragmentVerdict(
  { fragment }: FlowFacts,
  { policies }: RuleSet,
): Verdict | undefined {
  if (fragment === "none") return undefined;
  if (fragment === "first" && policies.fragments === "follow") return undefined;
  return { way: "drop", by: "fragments", rule: -1, cause: "action" };
}

/** What one rule makes of a flow; undefined where the next is to be asked. */
export function ruleVerdict(
  { rules, set }: RuleEngine,
  index: number,
  { facts, tunnels }: { facts: FlowFacts; tunnels: TunnelTable },
): Verdict | undefined {
  const { policies } = set;
  const compiled = rules[index];
  switch (compiled.match(facts)) {
    case "mismatch":
      return undefined;
    case "match": {
      const { action } = compiled.rule;
      const outcome = outcomeOf(action, facts, { tunnels, policies });
      return toVerdict(action, outcome, { by: "rule", rule: index });
    }
    case "owner-unknown": {
      const action = policies.unknownOwner;
      if (action.kind === "nextRule") return undefined;
      const outcome = outcomeOf(action, facts, { tunnels, policies });
      return toLastVerdict(action, outcome, {
        by: "unknown-owner",
        rule: index,
      });
    }
  }
}

/** What the default makes of a flow. */
export function defaultVerdict(
  { default: action, policies }: RuleSet,
  facts: FlowFacts,
  tunnels: TunnelTable,
): Verdict {
  const outcome = outcomeOf(action, facts, { tunnels, policies });
  return toLastVerdict(action, outcome, { by: "default", rule: -1 });
}
