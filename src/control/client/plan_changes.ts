/** What a new plan has otherwise than the one before, in lines for people. */
import type { ClientPlan } from "./client_plan.ts";
import type { TunnelListChanges } from "./tunnel_registry.ts";

/**
 * @param tunnels what became of the tunnels by it
 * @returns a line for each change; none where the plans are the same
 */
export function planChanges(
  before: ClientPlan,
  plan: ClientPlan,
  tunnels: TunnelListChanges,
): string[] {
  const { added, removed, changed, adjusted } = tunnels;
  return [
    ...added.map((name) => `tunnel ${name}: added`),
    ...removed.map((name) => `tunnel ${name}: removed`),
    ...changed.map((name) => `tunnel ${name}: changed, connects anew`),
    ...adjusted.map((name) =>
      `tunnel ${name}: health or dns changed, stays connected`
    ),
    ...(samePlan(before.rules, plan.rules)
      ? []
      : [`rules: ${plan.rules.rules.length} now`]),
    ...(samePlan(before.dns, plan.dns) ? [] : ["dns: changed"]),
  ];
}

/** Whether two parts of plans, which are plain data, say the same. */
export function samePlan(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
