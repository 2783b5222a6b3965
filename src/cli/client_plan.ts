/** From what client.yaml says to what the control plane of a client takes. */
import type { ClientConfig, TunnelConfig } from "../config/client_config.ts";
import {
  type ClientPlan,
  type HealthPlan,
  type Resolver,
  SHARED_RESOLVERS,
  type TunnelDefinition,
} from "../control/client/client_plan.ts";

/** The first failure shows, the rules fall back when the config says so. */
const DEGRADED_AFTER = 1;
/** A name that every resolver has (RFC 2606). */
const PROBED_NAME = "example.com";

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
      shared: { programs: SHARED_RESOLVERS, queries: "rules" },
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
    health: healthPlan(tunnel),
  };
  if (tunnel.kind === "proxy") {
    const { proxy } = tunnel;
    return { ...common, type: proxy.kind, proxy };
  }
  const { interface: own, peers } = tunnel;
  return {
    ...common,
    type: own.amnezia === undefined ? "wireguard" : "amneziawg",
    conf: { interface: own, peers, warnings: [] },
  };
}

function healthPlan({ health, dns }: TunnelConfig): HealthPlan {
  const { target, intervalMs, timeoutMs, failures } = health;
  const [server] = dns.map(resolver);
  return {
    probe: target !== undefined
      ? { kind: "connect", target }
      : server !== undefined
      ? { kind: "dns", server, name: PROBED_NAME }
      : { kind: "own" },
    intervalMs,
    timeoutMs,
    degradedAfter: DEGRADED_AFTER,
    downAfter: failures,
  };
}

function resolver(
  { words, port }: { readonly words: Uint32Array; readonly port: number },
): Resolver {
  return { words: Int32Array.from(words), port };
}
