/** What a tunnel's machine says: what is to be done, and how the tunnel stands. */
import type { TunnelState } from "../../core/route/rules/facts.ts";

/** What the machine wants done, in this order. */
export type TunnelOutput =
  | {
    readonly kind: "state";
    readonly from: TunnelState;
    readonly to: TunnelState;
    readonly reason: string;
    readonly at: number;
  }
  /** Look the names up, then `handleResolved`. */
  | { readonly kind: "resolve"; readonly ticket: number }
  /** Make the way out lead to these addresses, one for each host. */
  | { readonly kind: "connect"; readonly addresses: readonly Int32Array[] }
  /** Take the way out away. */
  | { readonly kind: "disconnect" }
  /** Send something through, then `handleProbe`. */
  | { readonly kind: "probe"; readonly ticket: number; readonly trust: Trust };

/** anew: old signs of life count for nothing, since something has changed. */
export type Trust = "recent" | "anew";

/** How a tunnel stands. */
export interface TunnelStanding {
  readonly state: TunnelState;
  /** By the clock of the calls. */
  readonly since: number;
  /** For people; empty where there is nothing to say. */
  readonly reason: string;
  /** When it is tried again; undefined where it is not waiting for that. */
  readonly retryAt: number | undefined;
}
