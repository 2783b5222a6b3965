/** The plan that `client.yaml` comes to. */
import type { ClientConfig, TunnelConfig } from "../../config/client_config.ts";
import type { HealthProbeConfig } from "../../config/health_probe.ts";
import type { DnsUpstream } from "../../config/checked_values.ts";
import {
  type ClientPlan,
  type HealthPlan,
  type HealthProbe,
  type Resolver,
  SHARED_RESOLVERS,
  type TunnelDefinition,
} from "./client_plan.ts";

/** What is to be done by a configuration. */
export function planFromConfig(config: ClientConfig): ClientPlan {
  const { tunnels, rules, dns, reconnect } = config;
  const { learned } = dns;
  return {
    tunnels: tunnels.map(tunnelDefinition),
    rules,
    dns: {
      policy: dns.policy,
      direct: dns.direct.map(resolver),
      timeoutMs: dns.timeoutMs,
      learned: {
        capacity: learned.entries,
        capacityPerOwner: learned.entriesPerProgram,
        leastMs: learned.minTtlMs,
        mostMs: learned.maxTtlMs,
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

function tunnelDefinition(config: TunnelConfig): TunnelDefinition {
  const { name, dns } = config;
  const common = {
    name,
    resolvers: dns.map(resolver),
    health: healthPlan(config),
  };
  if (config.kind === "proxy") {
    const { proxy } = config;
    return { ...common, type: proxy.kind, proxy };
  }
  const type = config.type === "amneziawg" ? "amneziawg" : "wireguard";
  const { peers } = config;
  return { ...common, type, conf: { interface: config.interface, peers } };
}

function healthPlan({ health }: TunnelConfig): HealthPlan {
  return { ...health, probe: healthProbe(health.probe) };
}

function healthProbe(probe: HealthProbeConfig): HealthProbe {
  switch (probe.kind) {
    case "ping":
      return { kind: "ping", words: Int32Array.from(probe.words) };
    case "dns":
      return { ...probe, server: resolver(probe.server) };
    default:
      return probe;
  }
}

function resolver({ words, port }: DnsUpstream): Resolver {
  return { words: Int32Array.from(words), port };
}
