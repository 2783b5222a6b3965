/** From what client.yaml says to what the control plane of a client takes. */
import type {
  ClientConfig,
  HealthConfig,
  TunnelConfig,
} from "../config/client_config.ts";
import {
  type ClientPlan,
  type HealthPlan,
  type Resolver,
  SHARED_RESOLVERS,
  type TunnelDefinition,
} from "../control/client/client_plan.ts";

/** The plan of a configuration. */
export function clientPlan(config: ClientConfig): ClientPlan {
  const { dns, reconnect } = config;
  return {
    tunnels: config.tunnels.map(tunnelDefinition),
    rules: config.rules,
    dns: {
      policy: dns.policy,
      direct: dns.direct.map(resolver),
      timeoutMs: dns.timeoutMs,
      learned: {
        capacity: dns.learned.entries,
        capacityPerOwner: dns.learned.entriesPerProgram,
        leastMs: dns.learned.minTtlMs,
        mostMs: dns.learned.maxTtlMs,
      },
      shared: {
        programs: dns.shared.programs ?? SHARED_RESOLVERS,
        queries: dns.shared.queries,
      },
    },
    reconnect: {
      firstMs: reconnect.minDelayMs,
      mostMs: reconnect.maxDelayMs,
    },
  };
}

function tunnelDefinition(tunnel: TunnelConfig): TunnelDefinition {
  const common = {
    name: tunnel.name,
    resolvers: tunnel.dns.map(resolver),
    health: healthPlan(tunnel.health),
  };
  if (tunnel.kind === "proxy") {
    const { proxy } = tunnel;
    return { ...common, type: proxy.kind, proxy };
  }
  const { interface: own, peers } = tunnel;
  return {
    ...common,
    type: own.amnezia === undefined ? "wireguard" : "amneziawg",
    conf: { interface: own, peers },
  };
}

function healthPlan({ probe, ...health }: HealthConfig): HealthPlan {
  switch (probe.kind) {
    case "ping":
      return {
        ...health,
        probe: { kind: "ping", words: Int32Array.from(probe.words) },
      };
    case "dns":
      return { ...health, probe: { ...probe, server: resolver(probe.server) } };
    default:
      return { ...health, probe };
  }
}

function resolver(
  { words, port }: { readonly words: Uint32Array; readonly port: number },
): Resolver {
  return { words: Int32Array.from(words), port };
}
