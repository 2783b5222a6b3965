/**
 * The client's configuration as the program uses it: compiled forms, numbers
 * and parsed addresses, units in the names. Made from a document that has
 * passed the schema and the rules.
 */
import type { RuleSet } from "../core/route/rules/rule.ts";
import {
  type DnsUpstream,
  dnsUpstream,
  milliseconds,
  sure,
} from "./checked_values.ts";
import { readPolicies } from "./client_rules.ts";
import type { ClientDocument, TunnelDocument } from "./client_schema.ts";
import type { PlacedTunnel, TunnelWay } from "./client_tunnels.ts";
import { type HealthProbeConfig, readHealthProbe } from "./health_probe.ts";
import { readAction, readRule } from "./rule_values.ts";

/** How a tunnel is tried. */
export interface HealthConfig {
  readonly probe: HealthProbeConfig;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failures in a row before it counts as degraded. */
  readonly degradedAfter: number;
  /** Failures in a row before it is down. */
  readonly downAfter: number;
}

/** One tunnel. */
export type TunnelConfig = TunnelWay & {
  readonly name: string;
  readonly type: TunnelDocument["type"];
  /** Resolvers asked through it; empty where it names none. */
  readonly dns: readonly DnsUpstream[];
  readonly health: HealthConfig;
};

/** How DNS follows programs. */
export interface ClientDnsConfig {
  readonly policy: "follow" | "leave";
  /** For programs that go direct; empty for the system's. */
  readonly direct: readonly DnsUpstream[];
  readonly timeoutMs: number;
  /** Programs that ask on behalf of others. */
  readonly shared: {
    /** By file name; undefined for the usual ones. */
    readonly programs: readonly string[] | undefined;
    readonly queries: "rules" | "drop";
  };
  readonly learned: {
    readonly entries: number;
    readonly entriesPerProgram: number;
    readonly minTtlMs: number;
    readonly maxTtlMs: number;
  };
}

/** The adapter that takes the host's traffic, and the table of flows. */
export interface CaptureConfig {
  /** By which driver, where there is a choice. */
  readonly mode: "auto" | "ndis" | "wintun";
  readonly interfaceName: string;
  /** Bytes. */
  readonly mtu: number;
  readonly maxFlows: number;
  readonly maxHeldPackets: number;
  readonly holdMs: number;
  readonly tcpTimeoutMs: number;
  readonly udpTimeoutMs: number;
}

/** The whole configuration of `sluice client`. */
export interface ClientConfig {
  readonly tunnels: readonly TunnelConfig[];
  /** Rules, default and policies, as the rule engine takes them. */
  readonly rules: RuleSet;
  readonly killSwitch: ClientDocument["killSwitch"];
  readonly dns: ClientDnsConfig;
  readonly capture: CaptureConfig;
  readonly reconnect: {
    readonly minDelayMs: number;
    readonly maxDelayMs: number;
  };
  /** Path of the control socket; undefined for the system's usual place. */
  readonly controlSocket: string | undefined;
  readonly log: ClientDocument["log"];
  readonly datapath: ClientDocument["datapath"];
}

/**
 * The configuration from a checked document.
 * @param tunnels of it, read.
 */
export function resolveClientConfig(
  document: ClientDocument,
  tunnels: readonly PlacedTunnel[],
): ClientConfig {
  const { dns, capture, reconnect } = document;
  return {
    tunnels: tunnels.map((tunnel) =>
      resolveTunnel(document.tunnels[tunnel.index], tunnel)
    ),
    rules: {
      rules: document.rules.map((rule, i) => readRule(rule, ["rules", i], [])),
      default: readAction(document.default),
      policies: readPolicies(document),
    },
    killSwitch: document.killSwitch,
    dns: {
      policy: dns.policy,
      direct: dns.direct.map(dnsUpstream),
      timeoutMs: milliseconds(dns.timeout),
      shared: {
        programs: dns.shared.programs,
        queries: dns.shared.queries,
      },
      learned: {
        entries: dns.learned.entries,
        entriesPerProgram: dns.learned.entriesPerProgram,
        minTtlMs: milliseconds(dns.learned.minTtl),
        maxTtlMs: milliseconds(dns.learned.maxTtl),
      },
    },
    capture: {
      mode: capture.mode,
      interfaceName: capture.interface,
      mtu: capture.mtu,
      maxFlows: capture.maxFlows,
      maxHeldPackets: capture.maxHeldPackets,
      holdMs: milliseconds(capture.holdTime),
      tcpTimeoutMs: milliseconds(capture.tcpTimeout),
      udpTimeoutMs: milliseconds(capture.udpTimeout),
    },
    reconnect: {
      minDelayMs: milliseconds(reconnect.minDelay),
      maxDelayMs: milliseconds(reconnect.maxDelay),
    },
    controlSocket: document.control.socket,
    log: document.log,
    datapath: document.datapath,
  };
}

function resolveTunnel(
  document: TunnelDocument,
  tunnel: PlacedTunnel,
): TunnelConfig {
  const { health } = document;
  return {
    ...tunnel.way,
    name: tunnel.name,
    type: document.type,
    dns: tunnel.resolvers,
    health: {
      probe: sure(readHealthProbe(health, tunnel).probe),
      intervalMs: milliseconds(health.interval),
      timeoutMs: milliseconds(health.timeout),
      degradedAfter: health.degradedAfter,
      downAfter: health.downAfter,
    },
  };
}
