/**
 * Which rules may hold for a flow, without asking all of them. Each rule is
 * filed under one of its conditions; those that none of the indexes can hold
 * (a pattern of a name, a protocol alone) are tried always.
 */
import type { CandidateSet } from "./candidate_set.ts";
import { DestinationIndex } from "./destination_index.ts";
import type { FlowFacts } from "./facts.ts";
import { OwnerIndex } from "./owner_index.ts";
import type { PathStyle, Rule } from "./rule.ts";

/** An index over the rules for flows whose owner is known, or for the others. */
export class RuleIndex {
  readonly #owners: OwnerIndex | undefined;
  readonly #destinations = new DestinationIndex();
  readonly #always: number[] = [];

  /**
   * @param owners whether flows have a known owner. For the others a rule about
   *               programs is a candidate as well: its place matters.
   */
  constructor(
    rules: readonly Rule[],
    { style, owners }: { style: PathStyle; owners: "known" | "unknown" },
  ) {
    this.#owners = owners === "known" ? new OwnerIndex(style) : undefined;
    for (const [index, rule] of rules.entries()) {
      if (this.#owners?.add(rule, index)) continue;
      if (rule.destinations === undefined) this.#always.push(index);
      else this.#destinations.add(rule.destinations, index);
    }
  }

  /** Adds every rule that may hold for the flow, and some that don't. */
  collect(facts: FlowFacts, candidates: CandidateSet): void {
    for (const index of this.#always) candidates.add(index);
    this.#destinations.collect(facts.words, facts.names, candidates);
    if (facts.owner !== undefined) {
      this.#owners?.collect(facts.owner, candidates);
    }
  }
}
