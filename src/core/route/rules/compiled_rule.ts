/** A rule with its conditions made ready: those on the flow, and those that need its owner. */
import type { FlowCondition, OwnerCondition } from "./condition.ts";
import type { FlowFacts } from "./facts.ts";
import {
  destinationCondition,
  portCondition,
  protocolCondition,
} from "./flow_conditions.ts";
import { hasProgram, ProgramCondition } from "./program_condition.ts";
import type { PathStyle, Rule } from "./rule.ts";
import { UserCondition } from "./user_condition.ts";

/** Whether a rule holds for a flow. */
export type Match = "match" | "mismatch" | "owner-unknown";

/** One rule, ready to be asked. */
export class CompiledRule {
  readonly rule: Rule;
  readonly flowConditions: readonly FlowCondition[];
  readonly ownerConditions: readonly OwnerCondition[];

  constructor(rule: Rule, style: PathStyle) {
    this.rule = rule;
    this.flowConditions = flowConditionsOf(rule);
    this.ownerConditions = ownerConditionsOf(rule, style);
  }

  /** `owner-unknown` where all that can be told holds, and the rest needs the owner. */
  match(facts: FlowFacts): Match {
    for (const condition of this.flowConditions) {
      if (!condition.matches(facts)) return "mismatch";
    }
    if (this.ownerConditions.length === 0) return "match";
    const { owner } = facts;
    if (owner === undefined) return "owner-unknown";
    return this.ownerConditions.every((condition) => condition.matches(owner))
      ? "match"
      : "mismatch";
  }
}

function flowConditionsOf(rule: Rule): FlowCondition[] {
  const conditions: FlowCondition[] = [];
  const { protocols, ports, destinations } = rule;
  if (protocols !== undefined) conditions.push(protocolCondition(protocols));
  if (ports !== undefined) conditions.push(portCondition(ports));
  if (destinations !== undefined) {
    conditions.push(destinationCondition(destinations));
  }
  return conditions;
}

function ownerConditionsOf(rule: Rule, style: PathStyle): OwnerCondition[] {
  const conditions: OwnerCondition[] = [];
  if (rule.users !== undefined) {
    conditions.push(new UserCondition(rule.users, style));
  }
  if (hasProgram(rule)) conditions.push(new ProgramCondition(rule, style));
  return conditions;
}
