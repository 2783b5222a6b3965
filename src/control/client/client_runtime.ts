/**
 * The control plane of a running client, put together: tunnels, rules, flows,
 * resolvers, network. Everything that touches the world comes in.
 *
 *     packet side ── asks, ends, answers ──▶ Decider ──▶ FlowJudge ──▶ rules
 *         ▲                                     ▲            ▲
 *         └────────── settles ──────────────────┤            │ DnsRouter
 *                                               │            │
 *     network ──▶ NetworkReaction ──▶ TunnelRegistry ── states
 */
import { RuleEngine } from "../../core/route/rules/rule_engine.ts";
import type { PathStyle } from "../../core/route/rules/rule.ts";
import { formatEndpoint } from "../../core/wire/address.ts";
import type { NetworkChange } from "../../io/ports/network_monitor.ts";
import type { ProcessTable } from "../../io/ports/process_table.ts";
import type { ClientEngine, ClientEvents, FlowAsk } from "../client_engine.ts";
import {
  ClientPortError,
  type ExplainAnswer,
  type ExplainQuestion,
  type FlowView,
} from "../client_port.ts";
import type {
  ClientControl,
  ClientEvent,
  ControlStatus,
} from "./client_control.ts";
import { ClientOverview } from "./client_overview.ts";
import type { ClientPlan, Resolver } from "./client_plan.ts";
import type { Clock } from "./clock.ts";
import { Decider } from "./decider.ts";
import { DnsRouter } from "./dns_router.ts";
import { explainFlow } from "./explain_flow.ts";
import { FlowJudge } from "./flow_judge.ts";
import { NamedCounters } from "./named_counters.ts";
import {
  boundInterfaces,
  type EgressChoice,
  NetworkReaction,
} from "./network_reaction.ts";
import { OwnFlows } from "./own_flows.ts";
import { planChanges, samePlan } from "./plan_changes.ts";
import type { HostResolver, Prober } from "./probes.ts";
import { ProgramNames } from "./program_names.ts";
import { type ReachedResolver, ResolverWatch } from "./resolver_watch.ts";
import {
  SystemResolvers,
  type SystemResolversOptions,
} from "./system_resolvers.ts";
import {
  type TunnelChange,
  type TunnelListChanges,
  TunnelRegistry,
} from "./tunnel_registry.ts";

/** What the control plane works with. */
export interface ClientRuntimeOptions {
  readonly plan: ClientPlan;
  readonly engine: ClientEngine;
  readonly processes: ProcessTable;
  /** The id of this process: its own flows are known by it. */
  readonly ownProcessId: number;
  readonly pathStyle: PathStyle;
  /** The executable that looks names up for all programs, where the system has one. */
  readonly nameService?: string;
  /** The same clock as the engine's. */
  readonly clock: Clock;
  /** From 0 to 1, 1 excluded. */
  readonly random: () => number;
  /** Looks up names of tunnels' other ends, outside of all tunnels. */
  readonly resolve: HostResolver;
  readonly prober: Prober;
  /** How packets leave the host, the capture left aside. */
  readonly chooseEgress: () => EgressChoice;
  /** The addresses inside the capture that stand in for resolvers. */
  readonly nameservers: readonly Int32Array[];
  /** The system's list of resolvers, where it is to be taken over; made with {@linkcode ClientRuntime.onResolversChange}. */
  readonly resolvConf: SystemResolversOptions["resolvConf"];
}

/** Expired names are thrown away this often. */
const SWEEP_MS = 60_000;

/** The control plane of one client. */
export class ClientRuntime implements ClientControl {
  /** Probes of ours that the capture sees are led into their tunnels by this. */
  readonly ownFlows: OwnFlows = new OwnFlows();
  readonly #options: ClientRuntimeOptions;
  readonly #counters = new NamedCounters();
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  readonly #registry: TunnelRegistry;
  readonly #watch: ResolverWatch;
  readonly #dns: DnsRouter;
  readonly #resolvers: SystemResolvers;
  readonly #judge: FlowJudge;
  readonly #decider: Decider;
  readonly #network: NetworkReaction;
  readonly #overview: ClientOverview;
  #names: ProgramNames;
  #plan: ClientPlan;
  #state: "new" | "running" | "stopped" = "new";
  /** While a reload goes on flows are judged at its end, once. */
  #isReloading = false;
  #sweep: Disposable | undefined;
  #watchTimer: Disposable | undefined;

  constructor(options: ClientRuntimeOptions) {
    this.#options = options;
    const { plan, engine, clock, pathStyle } = options;
    this.#plan = plan;
    this.#names = new ProgramNames(plan.dns.learned, options.nameService);
    this.#registry = new TunnelRegistry({
      engine,
      clock,
      prober: options.prober,
      resolve: options.resolve,
      backoff: { ...plan.reconnect, random: options.random },
      onChange: (change) => this.#onTunnelChange(change),
      onWarning: (text) => this.warn(text),
    });
    this.#watch = new ResolverWatch(plan.dns.timeoutMs, {
      onChange: (reached, now) => this.#onResolver(reached, now),
    });
    this.#dns = new DnsRouter({
      plan: plan.dns,
      captured: options.nameservers,
      watch: this.#watch,
    });
    this.#resolvers = new SystemResolvers({
      resolvConf: options.resolvConf,
      dns: this.#dns,
      warn: (text) => this.warn(text),
    });
    this.#judge = new FlowJudge(
      new RuleEngine(plan.rules, { style: pathStyle }),
      plan.dns.shared,
      { tunnels: this.#registry, dns: this.#dns },
    );
    this.#decider = new Decider({
      engine,
      processes: options.processes,
      ownProcessId: options.ownProcessId,
      judge: this.#judge,
      names: () => this.#names,
      ownFlows: this.ownFlows,
      watch: this.#watch,
      counters: this.#counters,
      clock,
    });
    this.#network = new NetworkReaction({
      chooseEgress: options.chooseEgress,
      setEgress: (egress) => this.#setEgress(egress),
      reset: () => this.#reset(),
      tunnels: this.#registry,
      counters: this.#counters,
      onReaction: (cause, text) => this.#tell({ kind: "network", cause, text }),
    });
    this.#overview = new ClientOverview({
      engine,
      clock,
      judge: this.#judge,
      decider: this.#decider,
      tunnels: this.#registry,
      watch: this.#watch,
      network: this.#network,
      counters: this.#counters,
    });
  }

  start(): void {
    if (this.#state !== "new") return;
    this.#state = "running";
    this.#resolvers.apply(this.#plan);
    this.#network.start();
    this.#registry.set(this.#plan.tunnels);
    this.#armSweep();
  }

  async stop(): Promise<void> {
    if (this.#state === "stopped") return;
    this.#state = "stopped";
    this.#sweep?.[Symbol.dispose]();
    this.#watchTimer?.[Symbol.dispose]();
    this.#decider.stop();
    this.#resolvers.restore();
    await this.#registry.stop();
  }

  onAsk(ask: FlowAsk): void {
    if (this.#state === "stopped") return;
    this.#decider.handleAsk(ask);
    this.#armWatch();
  }

  onFlowEnded(row: number, generation: number): void {
    this.#decider.handleEnded(row, generation);
  }

  onDnsAnswer(answer: Parameters<ClientEvents["onDnsAnswer"]>[0]): void {
    const { row, generation, payload } = answer;
    this.#decider.handleDnsAnswer(row, generation, payload);
    this.#armWatch();
  }

  onHandshake(outbound: number, result: "established" | "abandoned"): void {
    if (result === "established") this.#registry.handleHandshake(outbound);
  }

  onNetworkChange(changes: readonly NetworkChange[]): void {
    if (this.#state !== "running") return;
    this.#network.handle(changes);
    this.onResolversChange();
  }

  onResolversChange(): void {
    if (this.#state !== "running") return;
    this.#resolvers.refresh();
    this.#settleAnew("reload", ({ flow }) => this.#dns.isQuestion(flow));
  }

  status(): ControlStatus {
    return this.#overview.status(this.#plan.rules.rules.length);
  }

  flows(): readonly FlowView[] {
    return this.#overview.flows();
  }

  explain(question: ExplainQuestion): ExplainAnswer {
    return explainFlow(question, {
      judge: this.#judge,
      processes: this.#options.processes,
      names: this.#names,
      remembered: (processId) => this.#decider.ownerOfProcess(processId),
      now: this.#options.clock.now(),
    });
  }

  setTunnel(name: string, wanted: "up" | "down"): void {
    if (this.#registry.switch(name, wanted)) return;
    const names = this.#registry.list().map(({ definition }) =>
      definition.name
    );
    throw new ClientPortError(
      `there is no tunnel "${name}"`,
      names.length === 0 ? undefined : `there are: ${names.join(", ")}`,
    );
  }

  setMode(wanted: "running" | "paused"): void {
    if (wanted === this.#judge.mode) return;
    this.#judge.mode = wanted;
    this.#counters.add(wanted === "paused" ? "pauses" : "unpauses");
    // Flows leave their tunnels before those end, and come back as they stand again.
    this.#settleAnew("mode");
    if (wanted === "paused") this.#registry.suspend("the client is paused");
    else this.#registry.resume();
  }

  reload(plan: ClientPlan): readonly string[] {
    const before = this.#plan;
    this.#plan = plan;
    this.#isReloading = true;
    const style = this.#options.pathStyle;
    this.#judge.setRules(
      new RuleEngine(plan.rules, { style }),
      plan.dns.shared,
    );
    this.#dns.plan = plan.dns;
    this.#watch.timeoutMs = plan.dns.timeoutMs;
    if (this.#state === "running") this.#resolvers.apply(plan);
    if (!samePlan(before.dns.learned, plan.dns.learned)) {
      const { nameService } = this.#options;
      this.#names = new ProgramNames(plan.dns.learned, nameService);
    }
    const tunnels = this.#state === "running"
      ? this.#registry.set(plan.tunnels)
      : NO_CHANGES;
    this.#isReloading = false;
    this.#judge.refreshTunnels();
    const settled = this.#settleAnew("reload");
    const lines = [
      ...planChanges(before, plan, tunnels),
      ...(settled === 0 ? [] : [`flows with another verdict: ${settled}`]),
    ];
    this.#counters.add("reloads");
    if (lines.length > 0) this.#tell({ kind: "reloaded", lines });
    return lines;
  }

  subscribe(listener: (event: ClientEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Whom questions that go direct are asked. */
  directResolvers(): readonly Resolver[] {
    return this.#dns.direct();
  }

  /** Tells whoever listens of something that the user should know. */
  warn(text: string): void {
    this.#tell({ kind: "warning", text });
  }

  #onTunnelChange(change: TunnelChange): void {
    this.#counters.add(`tunnel:${change.to}`);
    this.#tell({ kind: "tunnel", ...change });
    if (this.#isReloading) return;
    this.#judge.refreshTunnels();
    this.#settleAnew("tunnel");
  }

  #settleAnew(
    cause: "tunnel" | "reload" | "mode",
    which?: Parameters<Decider["settleAnew"]>[0],
  ): number {
    const flows = this.#decider.settleAnew(which);
    if (flows > 0) this.#tell({ kind: "resettled", cause, flows });
    return flows;
  }

  #onResolver(
    { resolver, tunnel }: ReachedResolver,
    now: "unreachable" | "answers",
  ): void {
    this.#counters.add(`resolver:${now}`);
    const text = formatEndpoint(resolver.words, 0, resolver.port);
    this.#tell({ kind: "resolver", resolver: text, tunnel, now });
  }

  #setEgress(egress: EgressChoice): void {
    this.#options.engine.setEgress(boundInterfaces(egress));
  }

  #reset(): void {
    this.#decider.clearPending();
    this.#names.clear();
    this.#watch.clear();
    this.#options.engine.reset();
  }

  #armSweep(): void {
    const { clock } = this.#options;
    this.#sweep = clock.after(SWEEP_MS, () => {
      this.#names.sweep(clock.now());
      this.#armSweep();
    });
  }

  #armWatch(): void {
    const { clock } = this.#options;
    this.#watchTimer?.[Symbol.dispose]();
    this.#watchTimer = undefined;
    const next = this.#watch.nextTimeout();
    if (next === Infinity) return;
    this.#watchTimer = clock.after(Math.max(0, next - clock.now()), () => {
      this.#watch.handleTimeout(clock.now());
      this.#armWatch();
    });
  }

  #tell(event: ClientEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

const NO_CHANGES: TunnelListChanges = {
  added: [],
  removed: [],
  changed: [],
  adjusted: [],
};
