/**
 * Which mappings packets may use to come in: open, not idle for too long, and
 * the client's address still its peer's own. The last is asked of the allowed
 * IPs and not of the mapping's age, because a removed peer's row may belong to
 * another one before its mappings are ended.
 */
import { isExpired, type MappingPolicy } from "../flow/filtering.ts";
import { MappingState, type NatTable } from "../flow/nat.ts";
import type { AllowedIps } from "../wireguard/allowed_ips.ts";

/** Looks at mappings; either worker may have one. */
export class LiveMappings {
  readonly #nat: NatTable;
  readonly #allowedIps: AllowedIps;
  readonly #policy: MappingPolicy;

  constructor(nat: NatTable, allowedIps: AllowedIps, policy: MappingPolicy) {
    this.#nat = nat;
    this.#allowedIps = allowedIps;
    this.#policy = policy;
  }

  /** Whether packets may come in by a NAT row; `row` may be anything. */
  has(row: number, now: number): boolean {
    const nat = this.#nat;
    return nat.stateOf(row) === MappingState.Open &&
      !isExpired(nat, row, this.#policy, now) &&
      this.#allowedIps.lookup(nat.internal, row * 4) === nat.peer[row];
  }
}
