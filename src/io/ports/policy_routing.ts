/**
 * Routes of a table of our own, and rules that say which packets ask it. The
 * host's main table is never touched.
 */
import type { AddressWords } from "../../core/wire/address.ts";

/** A route of our table. */
export interface TableRoute {
  readonly family: 4 | 6;
  /** Address words. */
  readonly words: AddressWords;
  /** Prefix length within the family (0-32 or 0-128). */
  readonly prefixLength: number;
  /** Through an interface, or refused with an ICMP error. */
  readonly way:
    | {
      readonly kind: "interface";
      readonly index: number;
      readonly gateway?: AddressWords;
    }
    | { readonly kind: "unreachable" };
  /** Lower wins; undefined leaves it to the system. */
  readonly metric?: number;
}

/** Which table a packet asks. */
export interface RoutingRule {
  readonly family: 4 | 6;
  /** Rules are asked in the order of their priorities. */
  readonly priority: number;
  /**
   * Packets whose mark, under the mask (32 ones by default), is that value;
   * `except` turns it round. Without it, all packets.
   */
  readonly mark?: {
    readonly value: number;
    readonly mask?: number;
    readonly except?: boolean;
  };
  readonly table: number | "main";
  /**
   * The table's routes with prefixes of that length or shorter don't count: 0
   * leaves the default route out.
   */
  readonly suppressPrefixLength?: number;
}

/** What the host's routing should have of ours. */
export interface PolicyConfig {
  /** The number of our table. */
  readonly table: number;
  readonly routes: readonly TableRoute[];
  readonly rules: readonly RoutingRule[];
}

/** A family that the host has switched off, with what was left out for it. */
export interface PolicyWarning {
  readonly kind: "family-off";
  readonly family: 4 | 6;
  readonly reason: string;
}

/** Rules and routes of ours, applied declaratively. */
export interface PolicyRouting extends Disposable {
  /**
   * Makes it so; what we applied before and is no longer wanted is removed.
   * Routes come before the rules that lead to them, and go after them.
   * @throws {Error} with the request and the system's text; what was done until
   * then stays recorded, and `reset` undoes it.
   */
  apply(config: PolicyConfig): readonly PolicyWarning[];
  /** Removes all that is ours. */
  reset(): void;
}
