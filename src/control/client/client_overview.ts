/** What people are shown of a running client: how it stands, and its flows. */
import { formatEndpoint } from "../../core/wire/address.ts";
import type { ClientEngine } from "../client_engine.ts";
import type { FlowView } from "../client_port.ts";
import type { ControlStatus } from "./client_control.ts";
import { type FlowSum, flowView, tunnelView, wayText } from "./client_views.ts";
import type { Clock } from "./clock.ts";
import type { Decider } from "./decider.ts";
import type { FlowJudge } from "./flow_judge.ts";
import type { NamedCounters } from "./named_counters.ts";
import type { NetworkReaction } from "./network_reaction.ts";
import type { ResolverWatch } from "./resolver_watch.ts";
import type { TunnelRegistry } from "./tunnel_registry.ts";

/** Who knows something. */
export interface ClientOverviewParts {
  readonly engine: ClientEngine;
  readonly clock: Clock;
  readonly judge: FlowJudge;
  readonly decider: Decider;
  readonly tunnels: TunnelRegistry;
  readonly watch: ResolverWatch;
  readonly network: NetworkReaction;
  readonly counters: NamedCounters;
}

/** See the module header. */
export class ClientOverview {
  readonly #parts: ClientOverviewParts;

  constructor(parts: ClientOverviewParts) {
    this.#parts = parts;
  }

  /** @param rules how many there are */
  status(rules: number): ControlStatus {
    const { engine, clock, judge, tunnels, network, counters } = this.#parts;
    const flows = engine.flows();
    const now = clock.now();
    const sums = sumByOutbound(flows);
    const count = (way: FlowView["way"]) =>
      flows.filter((flow) => wayText(flow.way) === way).length;
    const { ipv4, ipv6 } = network.egress;
    return {
      mode: judge.mode,
      rules,
      ...(ipv4 === undefined ? {} : { egress4: ipv4.interfaceName }),
      ...(ipv6 === undefined ? {} : { egress6: ipv6.interfaceName }),
      tunnels: tunnels.list().map((tunnel) =>
        tunnelView(tunnel, { sum: sums.get(tunnel.outbound) ?? NO_FLOWS, now })
      ),
      flows: {
        total: flows.length,
        direct: count("direct"),
        tunnelled: count("tunnel"),
        dropped: count("drop"),
        waiting: count("waiting"),
      },
      counters: counters.snapshot(),
      problems: this.#problems(),
    };
  }

  /** All flows there are. */
  flows(): readonly FlowView[] {
    const { engine, clock, decider, tunnels } = this.#parts;
    const now = clock.now();
    return engine.flows().map((flow) => {
      const { row, generation, way, outbound } = flow;
      return flowView(flow, {
        record: decider.record(row, generation),
        tunnel: wayText(way) === "tunnel"
          ? tunnels.nameOf(outbound)
          : undefined,
        now,
      });
    });
  }

  #problems(): string[] {
    return this.#parts.watch.unreachable().map(({ resolver, tunnel }) =>
      `resolver ${formatEndpoint(resolver.words, 0, resolver.port)} (${
        tunnel === undefined ? "direct" : `tunnel ${tunnel}`
      }) does not answer`
    );
  }
}

const NO_FLOWS: FlowSum = { flows: 0, sentBytes: 0, receivedBytes: 0 };

function sumByOutbound(
  flows: ReturnType<ClientEngine["flows"]>,
): Map<number, FlowSum> {
  const sums = new Map<number, FlowSum>();
  for (const { outbound, sentBytes, receivedBytes } of flows) {
    const sum = sums.get(outbound) ?? NO_FLOWS;
    sums.set(outbound, {
      flows: sum.flows + 1,
      sentBytes: sum.sentBytes + sentBytes,
      receivedBytes: sum.receivedBytes + receivedBytes,
    });
  }
  return sums;
}
