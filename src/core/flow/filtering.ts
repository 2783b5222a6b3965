/**
 * Who may send in through a mapping, and how long it lives: RFC 4787 sections
 * 4.3 and 5 (REQ-5, REQ-6, REQ-8), RFC 5508 REQ-2.
 */
import type { NatTable } from "./nat.ts";

/** The policies that decide it; part of the gateway's configuration. */
export interface MappingPolicy {
  readonly filtering:
    | "endpoint-independent"
    | "address-dependent"
    | "address-and-port-dependent";
  readonly refresh: "outbound" | "both";
  readonly udpTimeoutMs: number;
  readonly icmpTimeoutMs: number;
}

const UDP = 17;

/** How long a mapping of a protocol may be idle, in ms. */
export function timeoutOf(policy: MappingPolicy, protocol: number): number {
  return protocol === UDP ? policy.udpTimeoutMs : policy.icmpTimeoutMs;
}

/** Whether an open mapping has been idle for too long. */
export function isExpired(
  nat: NatTable,
  row: number,
  policy: MappingPolicy,
  now: number,
): boolean {
  let last = nat.lastOutboundAt[row];
  if (policy.refresh === "both") last = Math.max(last, nat.lastInboundAt[row]);
  return now - last >= timeoutOf(policy, nat.protocol[row]);
}

/** Notes that a mapping sends to a remote, where the policy will ask. Open worker. */
export function noteRemote(
  nat: NatTable,
  row: number,
  policy: MappingPolicy,
  words: Int32Array,
  i: number,
  port: number,
  now: number,
): void {
  if (policy.filtering === "endpoint-independent") return;
  const counted = policy.filtering === "address-dependent" ? 0 : port;
  nat.remotes.note(
    row,
    nat.generation[row],
    nat.peer[row],
    words,
    i,
    counted,
    now,
  );
}

/** Whether a remote may send in through a mapping. */
export function admits(
  nat: NatTable,
  row: number,
  policy: MappingPolicy,
  words: Int32Array,
  i: number,
  port: number,
  now: number,
): boolean {
  if (policy.filtering === "endpoint-independent") return true;
  const counted = policy.filtering === "address-dependent" ? 0 : port;
  const since = now - timeoutOf(policy, nat.protocol[row]);
  return nat.remotes.contacted(
    row,
    nat.generation[row],
    words,
    i,
    counted,
    since,
  );
}
