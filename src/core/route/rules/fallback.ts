/**
 * What becomes of a flow that a rule sends into a tunnel, by the state of the
 * tunnel. This table is the whole of it:
 *
 *     fallback      up        degraded   connecting   down
 *     allowDirect   tunnel    tunnel     direct       direct
 *     block         tunnel    tunnel     drop         drop
 *     drop          drop      drop       drop         drop
 *     nextRule      tunnel    tunnel     next         next
 *
 * A tunnel that carries, if badly, is used. One that is still connecting is not
 * waited for: a dropped first packet comes again, and what is allowed to go
 * direct need not wait.
 */
import { isMappedIpv4 } from "../../wire/address.ts";
import { Protocol } from "../../wire/protocol.ts";
import {
  type FlowFacts,
  isIcmp,
  type TunnelCarries,
  type TunnelState,
  type TunnelTable,
} from "./facts.ts";
import type {
  Fallback,
  RuleAction,
  RulePolicies,
  UncarriedPolicy,
} from "./rule.ts";

/** What is done with a flow; `next` goes on with the rules below. */
export type Effect = "tunnel" | "direct" | "drop" | "next";

/** The table above. */
export const FALLBACK_TABLE: Readonly<
  Record<Fallback, Readonly<Record<TunnelState, Effect>>>
> = {
  allowDirect: {
    up: "tunnel",
    degraded: "tunnel",
    connecting: "direct",
    down: "direct",
  },
  block: { up: "tunnel", degraded: "tunnel", connecting: "drop", down: "drop" },
  drop: { up: "drop", degraded: "drop", connecting: "drop", down: "drop" },
  nextRule: {
    up: "tunnel",
    degraded: "tunnel",
    connecting: "next",
    down: "next",
  },
};

/** Why an effect is what it is. */
export type EffectCause =
  /** The action says so. */
  | "action"
  | "tunnel-connecting"
  | "tunnel-down"
  /** The tunnel has no IPv6. */
  | "no-ipv6"
  /** The tunnel can't carry the protocol, or has no IPv4. */
  | "unsupported";

/** An effect with its cause. */
export interface Outcome {
  readonly effect: Effect;
  readonly cause: EffectCause;
}

/** What an action does with a flow now. */
export function outcomeOf(
  action: RuleAction,
  facts: FlowFacts,
  { tunnels, policies }: { tunnels: TunnelTable; policies: RulePolicies },
): Outcome {
  if (action.kind !== "tunnel") {
    return { effect: action.kind, cause: "action" };
  }
  // Such a rule never uses its tunnel, whatever that could carry.
  if (action.fallback === "drop") return { effect: "drop", cause: "action" };
  const cells = FALLBACK_TABLE[action.fallback];
  const tunnel = tunnels.get(action.tunnel);
  const lack = tunnel && lackOf(tunnel.carries, facts);
  if (lack !== undefined) {
    const policy = lack === "no-ipv6" ? policies.ipv6 : policies.unsupported;
    return { effect: uncarriedEffect(policy, cells.down), cause: lack };
  }
  const state = tunnel?.state ?? "down";
  return { effect: cells[state], cause: stateCause(state) };
}

/** What keeps a tunnel from carrying a flow, in whatever state it is. */
export function lackOf(
  carries: TunnelCarries,
  { protocol, words }: FlowFacts,
): "no-ipv6" | "unsupported" | undefined {
  if (isMappedIpv4(words)) {
    if (!carries.ipv4) return "unsupported";
  } else if (!carries.ipv6) return "no-ipv6";
  return carriesProtocol(carries, protocol) ? undefined : "unsupported";
}

function carriesProtocol(carries: TunnelCarries, protocol: number): boolean {
  if (protocol === Protocol.Tcp) return carries.tcp;
  if (protocol === Protocol.Udp) return carries.udp;
  return isIcmp(protocol) ? carries.icmp : carries.other;
}

function uncarriedEffect(policy: UncarriedPolicy, whenDown: Effect): Effect {
  switch (policy) {
    case "fallback":
      return whenDown;
    case "nextRule":
      return "next";
    default:
      return policy;
  }
}

function stateCause(state: TunnelState): EffectCause {
  switch (state) {
    case "connecting":
      return "tunnel-connecting";
    case "down":
      return "tunnel-down";
    default:
      return "action";
  }
}
