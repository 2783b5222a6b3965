/** A compiled condition: one test, and the account of it for people. */
import type { FlowFacts, FlowOwner } from "./facts.ts";

/** What a condition looks at. */
export type ConditionKind =
  | "process"
  | "path"
  | "directory"
  | "children"
  | "user"
  | "destination"
  | "ports"
  | "protocol";

/** How one condition came out, and by what. */
export interface ConditionOutcome {
  readonly condition: ConditionKind;
  /** unknown: it needs the owner, who is not known. */
  readonly result: "match" | "mismatch" | "unknown";
  /** The rule's alternatives as text. */
  readonly wanted: readonly string[];
  /** What the flow has; empty where it has nothing of the kind. */
  readonly actual: readonly string[];
}

/** A condition on the flow itself. */
export interface FlowCondition {
  matches(facts: FlowFacts): boolean;
  outcome(facts: FlowFacts): ConditionOutcome;
}

/** A condition on who the flow belongs to. */
export interface OwnerCondition {
  matches(owner: FlowOwner): boolean;
  /** One for each part of it; without an owner they are unknown. */
  outcomes(owner: FlowOwner | undefined): ConditionOutcome[];
}

/** The outcome of a condition with a result known or not. */
export function outcome(
  condition: ConditionKind,
  result: boolean | undefined,
  { wanted, actual }: {
    wanted: readonly string[];
    actual: readonly string[];
  },
): ConditionOutcome {
  const text = result === undefined ? "unknown" : result ? "match" : "mismatch";
  return { condition, result: text, wanted, actual };
}
