/** What a flow gets, and by what. */
import type { EffectCause, Outcome } from "./fallback.ts";
import type { RuleAction } from "./rule.ts";

/** Who decided. */
export interface Decision {
  readonly by: "rule" | "default" | "unknown-owner" | "fragments";
  /** The rule that decided, or that needed the owner; -1 where it was none. */
  readonly rule: number;
}

/** What a flow gets. */
export type Verdict =
  & (
    | { readonly way: "tunnel"; readonly tunnel: string }
    | { readonly way: "direct" }
    | { readonly way: "drop" }
  )
  & Decision
  & {
    /** Why the action came out as it did. */
    readonly cause: EffectCause;
  };

/**
 * An action's outcome as a verdict.
 * @returns undefined where the rules below are to decide.
 */
export function toVerdict(
  action: RuleAction,
  { effect, cause }: Outcome,
  { by, rule }: Decision,
): Verdict | undefined {
  if (effect === "next") return undefined;
  if (effect !== "tunnel") return { way: effect, by, rule, cause };
  return action.kind === "tunnel"
    ? { way: "tunnel", tunnel: action.tunnel, by, rule, cause }
    : undefined;
}

/** The same where no rule is left below: what would pass on is dropped. */
export function toLastVerdict(
  action: RuleAction,
  outcome: Outcome,
  decision: Decision,
): Verdict {
  return toVerdict(action, outcome, decision) ??
    { way: "drop", ...decision, cause: outcome.cause };
}
