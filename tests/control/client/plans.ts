/** Plans, programs and addresses that tests are made of. */
import { parsePrefix } from "../../../src/core/wire/address.ts";
import { parseAddress } from "../../../src/core/wire/address.ts";
import type { FlowOwner } from "../../../src/io/ports/process_table.ts";
import type { ProcessInfo } from "../../../src/io/ports/process_table.ts";
import {
  type Rule,
  type RuleAction,
  type RuleSet,
  SAFE_POLICIES,
} from "../../../src/core/route/rules/rule.ts";
import type {
  ClientPlan,
  HealthPlan,
  HealthProbe,
  Resolver,
  TunnelDefinition,
} from "../../../src/control/client/client_plan.ts";

/** Address words of a text. */
export function words(text: string): Int32Array {
  return Int32Array.from(parseAddress(text)!);
}

/** A resolver at port 53. */
export function resolver(text: string): Resolver {
  return { words: words(text), port: 53 };
}

/** Looks every 10 s, and tells quickly. */
export const HEALTH: HealthPlan = {
  probe: { kind: "own" },
  intervalMs: 10_000,
  timeoutMs: 2_000,
  degradedAfter: 1,
  downAfter: 3,
};

/** A WireGuard tunnel of one peer. */
export function wireguard(
  name: string,
  options: {
    host?: string;
    addresses?: readonly string[];
    dns?: readonly string[];
    probe?: HealthProbe;
    key?: number;
  } = {},
): TunnelDefinition {
  const { host = "192.0.2.10", addresses = ["10.66.0.2/32"], dns = [] } =
    options;
  return {
    name,
    type: "wireguard",
    resolvers: dns.map(resolver),
    health: { ...HEALTH, probe: options.probe ?? HEALTH.probe },
    conf: {
      interface: {
        privateKey: new Uint8Array(32).fill(options.key ?? 1),
        addresses: addresses.map((text) => parsePrefix(text)!),
        dns: [],
        dnsSearch: [],
        mtu: undefined,
        listenPort: undefined,
        amnezia: undefined,
      },
      peers: [{
        publicKey: new Uint8Array(32).fill(2),
        presharedKey: undefined,
        allowedIps: [parsePrefix("0.0.0.0/0")!, parsePrefix("::/0")!],
        endpoint: { host, port: 51820 },
        persistentKeepalive: 0,
      }],
    },
  };
}

/** A proxy. */
export function proxy(
  name: string,
  type: "socks5" | "http" = "socks5",
  options: { host?: string; dns?: readonly string[]; probe?: HealthProbe } = {},
): TunnelDefinition {
  const { host = "192.0.2.20", dns = [] } = options;
  const health = { ...HEALTH, probe: options.probe ?? HEALTH.probe };
  const resolvers = dns.map(resolver);
  return type === "socks5"
    ? { name, type, resolvers, health, proxy: { kind: type, host, port: 1080 } }
    : {
      name,
      type,
      resolvers,
      health,
      proxy: { kind: type, transport: "plain", host, port: 3128 },
    };
}

/** Into a tunnel. */
export function into(
  tunnel: string,
  fallback: (RuleAction & { kind: "tunnel" })["fallback"] = "block",
): RuleAction {
  return { kind: "tunnel", tunnel, fallback };
}

/** A rule for programs of a name. */
export function rule(process: string, action: RuleAction): Rule {
  return { processes: [process], action };
}

/** Rules with a default. */
export function ruleSet(
  rules: readonly Rule[],
  last: RuleAction = { kind: "direct" },
): RuleSet {
  return { rules, default: last, policies: SAFE_POLICIES };
}

/** A whole plan. */
export function plan(
  tunnels: readonly TunnelDefinition[],
  rules: RuleSet,
  dns: Partial<ClientPlan["dns"]> = {},
): ClientPlan {
  return {
    tunnels,
    rules,
    dns: {
      policy: "follow",
      direct: [resolver("192.168.1.1")],
      timeoutMs: 2_000,
      learned: {
        capacity: 1000,
        capacityPerOwner: 100,
        leastMs: 60_000,
        mostMs: 3_600_000,
      },
      shared: { programs: ["systemd-resolved"], queries: "rules" },
      ...dns,
    },
    reconnect: { firstMs: 1_000, mostMs: 60_000 },
  };
}

/** A program that runs. */
export function process(
  path: string,
  options: { id?: number; user?: string; parents?: readonly string[] } = {},
): ProcessInfo {
  const { id = 100, user = "ann", parents = [] } = options;
  return {
    processId: id,
    startTime: id * 10,
    path,
    name: nameOf(path),
    ended: false,
    file: "present",
    userId: 1000,
    user,
    ancestors: parents.map((parent, i) => ({
      processId: id - i - 1,
      startTime: 1,
      path: parent,
      name: nameOf(parent),
      ended: false,
    })),
  };
}

/** A flow's owner. */
export function ownedBy(
  path: string,
  options: Parameters<typeof process>[1] = {},
): FlowOwner {
  return { kind: "process", process: process(path, options) };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
