/**
 * Rules of the split tunnel as data: which flows they are about, and what
 * becomes of those. What a user writes is parsed to this by the configuration;
 * `rule_engine.ts` compiles it.
 *
 * Values of one condition are alternatives, conditions of one rule hold all
 * together; a condition that is absent holds for every flow. The first rule
 * that holds decides.
 */
import type { Prefix } from "../../wire/address.ts";

/** How names and paths of programs are compared: Windows ignores letter case. */
export type PathStyle = "posix" | "windows";

/** A place that a flow goes to. */
export type RuleDestination =
  | { readonly kind: "prefix"; readonly prefix: Prefix }
  /** This very name. */
  | { readonly kind: "name"; readonly name: string }
  /** Every name below this one, at any depth, itself not. */
  | { readonly kind: "below"; readonly name: string };

/** First and last port, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Protocols that rules tell apart; icmp is ICMP and ICMPv6. */
export type RuleProtocol = "tcp" | "udp" | "icmp";

/** What a rule does where its tunnel isn't up. */
export type Fallback = "allowDirect" | "block" | "drop" | "nextRule";

/** Where flows go. */
export type RuleAction =
  | { readonly kind: "direct" }
  | { readonly kind: "drop" }
  | {
    readonly kind: "tunnel";
    readonly tunnel: string;
    readonly fallback: Fallback;
  };

/** One rule. */
export interface Rule {
  /**
   * File names of programs, compared as a whole; `*` and `?` make a pattern of
   * one. Together with `paths` and `directories` they speak of one program.
   */
  readonly processes?: readonly string[];
  /** Whole paths; `*` stays within a folder, `**` goes through any number. */
  readonly paths?: readonly string[];
  /** Folders; programs at any depth below. */
  readonly directories?: readonly string[];
  /** Also programs that such a program has started, and theirs. */
  readonly children?: boolean;
  /** Names, or numbers of users as text. */
  readonly users?: readonly string[];
  readonly destinations?: readonly RuleDestination[];
  /** Ports of the destination; protocols without ports have none of them. */
  readonly ports?: readonly PortRange[];
  readonly protocols?: readonly RuleProtocol[];
  readonly action: RuleAction;
}

/** What a tunnel can't carry: nothing, or what the policy says. */
export type UncarriedPolicy = "drop" | "direct" | "nextRule" | "fallback";

/** What rules alone don't tell. */
export interface RulePolicies {
  /**
   * Flows whose program could not be found, at the first rule that would need
   * to know it. `nextRule` passes over rules about programs and users.
   */
  readonly unknownOwner: RuleAction | { readonly kind: "nextRule" };
  /**
   * drop: no fragment passes. follow: the first fragment is judged as any
   * packet, and the rest share the fate of the first; without it they drop.
   */
  readonly fragments: "drop" | "follow";
  /** IPv6 where the tunnel has none. */
  readonly ipv6: UncarriedPolicy;
  /** Anything else that the tunnel can't carry, such as UDP through an HTTP proxy. */
  readonly unsupported: UncarriedPolicy;
}

/** Everything that is decided by. */
export interface RuleSet {
  readonly rules: readonly Rule[];
  /** For flows that no rule has decided. */
  readonly default: RuleAction;
  readonly policies: RulePolicies;
}

/** Policies that let nothing pass unseen. */
export const SAFE_POLICIES: RulePolicies = {
  unknownOwner: { kind: "drop" },
  fragments: "drop",
  ipv6: "drop",
  unsupported: "drop",
};
