/**
 * What becomes of a flow and why: the rules with the tunnels as they stand, then
 * the resolver where it is a question, as the packet side is to be told it.
 * Decides only; `decider.ts` has the flows.
 */
import { type FlowVerdict, Way } from "../../core/flow/flow_table.ts";
import type {
  FlowFacts,
  TunnelFacts,
  TunnelTable,
} from "../../core/route/rules/facts.ts";
import type { RuleEngine } from "../../core/route/rules/rule_engine.ts";
import type { Verdict } from "../../core/route/rules/verdict.ts";
import type { FlowEnd } from "../client_engine.ts";
import type { DnsPlan } from "./client_plan.ts";
import type { DnsRouter } from "./dns_router.ts";
import type { ReachedResolver } from "./resolver_watch.ts";
import type { RegisteredTunnel } from "./tunnel_registry.ts";

/** A flow with all that its judgement rests on. Kept as it was when it began. */
export interface JudgedFlow {
  readonly protocol: number;
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  readonly facts: FlowFacts;
  /** own: of this process; a tunnel where it is a probe's. */
  readonly origin:
    | { readonly kind: "program" }
    | { readonly kind: "own"; readonly tunnel: string | undefined };
}

/** Why a flow gets what it gets. */
export type Reason =
  | { readonly kind: "rules"; readonly verdict: Verdict }
  | { readonly kind: "own" }
  | { readonly kind: "paused" }
  /** A question of a resolver that asks for others. */
  | { readonly kind: "shared-resolver" }
  /** A question, and no resolver that way. */
  | { readonly kind: "no-resolver"; readonly verdict: Verdict | undefined };

/** What a flow gets. */
export interface Judgement {
  readonly reason: Reason;
  readonly settlement: FlowVerdict;
  /** The resolver in place of the one that was asked. */
  readonly resolver: ReachedResolver | undefined;
}

/** What judgements rest on. */
export interface JudgeOptions {
  readonly tunnels: {
    facts(): Map<string, TunnelFacts>;
    get(name: string): RegisteredTunnel | undefined;
  };
  readonly dns: DnsRouter;
}

/** Judges flows. */
export class FlowJudge {
  readonly #options: JudgeOptions;
  #engine: RuleEngine;
  #shared: DnsPlan["shared"];
  #table: TunnelTable = new Map();
  /** The same for questions: every proxy carries those, by TCP. */
  #questionTable: TunnelTable = new Map();
  mode: "running" | "paused" = "running";

  constructor(
    engine: RuleEngine,
    shared: DnsPlan["shared"],
    options: JudgeOptions,
  ) {
    this.#options = options;
    this.#engine = engine;
    this.#shared = shared;
    this.refreshTunnels();
  }

  get engine(): RuleEngine {
    return this.#engine;
  }

  /** Judges by other rules from now on. */
  setRules(engine: RuleEngine, shared: DnsPlan["shared"]): void {
    this.#engine = engine;
    this.#shared = shared;
  }

  /** Takes the tunnels as they stand now: after every change of one. */
  refreshTunnels(): void {
    const facts = this.#options.tunnels.facts();
    this.#table = facts;
    this.#questionTable = new Map(
      [...facts].map(([name, { state, carries }]) => [name, {
        state,
        carries: { ...carries, udp: true },
      }]),
    );
  }

  /** The tunnels as rules see them for a flow. */
  tunnelsFor(flow: Pick<JudgedFlow, "protocol" | "remote">): TunnelTable {
    return this.#options.dns.isQuestion(flow)
      ? this.#questionTable
      : this.#table;
  }

  /** What a flow gets now. */
  judge(flow: JudgedFlow, now: number): Judgement {
    const { origin, facts } = flow;
    if (origin.kind === "own") {
      return origin.tunnel === undefined
        ? this.#direct(flow, { kind: "own" }, now)
        : this.#pinned(origin.tunnel);
    }
    if (this.mode === "paused") {
      return this.#direct(flow, { kind: "paused" }, now);
    }
    if (this.#isShut(flow)) return drop({ kind: "shared-resolver" });
    const verdict = this.#engine.decide(facts, this.tunnelsFor(flow));
    const reason: Reason = { kind: "rules", verdict };
    switch (verdict.way) {
      case "drop":
        return drop(reason);
      case "direct":
        return this.#direct(flow, reason, now);
      case "tunnel": {
        const tunnel = this.#options.tunnels.get(verdict.tunnel);
        if (tunnel === undefined) return drop(reason);
        return this.#tunnelled(flow, { reason, verdict, tunnel }, now);
      }
    }
  }

  #isShut({ protocol, remote, facts }: JudgedFlow): boolean {
    const { programs, queries } = this.#shared;
    const { owner } = facts;
    return queries === "drop" && owner !== undefined &&
      programs.includes(owner.name) &&
      this.#options.dns.isQuestion({ protocol, remote });
  }

  #direct(flow: JudgedFlow, reason: Reason, now: number): Judgement {
    const settlement = { way: Way.Direct, outbound: 0, rule: ruleOf(reason) };
    return this.#resolved(flow, { reason, settlement, tunnel: undefined }, now);
  }

  #pinned(name: string): Judgement {
    const tunnel = this.#options.tunnels.get(name);
    const reason: Reason = { kind: "own" };
    if (tunnel === undefined) return drop(reason);
    const { outbound, provider } = tunnel;
    return {
      reason,
      settlement: { way: provider.way, outbound, rule: -1 },
      resolver: undefined,
    };
  }

  #tunnelled(
    flow: JudgedFlow,
    { reason, verdict, tunnel }: {
      reason: Reason;
      verdict: Verdict;
      tunnel: RegisteredTunnel;
    },
    now: number,
  ): Judgement {
    const { outbound, provider, definition: { name } } = tunnel;
    const settlement = { way: provider.way, outbound, rule: verdict.rule };
    const { resolvers } = provider;
    return this.#resolved(
      flow,
      { reason, settlement, tunnel: { name, resolvers } },
      now,
    );
  }

  /** The settlement with the resolver where the flow is a question. */
  #resolved(
    flow: JudgedFlow,
    { reason, settlement, tunnel }: {
      reason: Reason;
      settlement: FlowVerdict;
      tunnel: Parameters<DnsRouter["route"]>[1];
    },
    now: number,
  ): Judgement {
    const route = this.#options.dns.route(flow, tunnel, now);
    switch (route.kind) {
      case "as-is":
        return { reason, settlement, resolver: undefined };
      case "to": {
        const { reached } = route;
        const { words, port } = reached.resolver;
        return {
          reason,
          settlement: { ...settlement, to: { words, port } },
          resolver: reached,
        };
      }
      case "none": {
        const verdict = reason.kind === "rules" ? reason.verdict : undefined;
        return drop({ kind: "no-resolver", verdict });
      }
    }
  }
}

function drop(reason: Reason): Judgement {
  return {
    reason,
    settlement: { way: Way.Drop, outbound: 0, rule: ruleOf(reason) },
    resolver: undefined,
  };
}

function ruleOf(reason: Reason): number {
  return "verdict" in reason ? reason.verdict?.rule ?? -1 : -1;
}
