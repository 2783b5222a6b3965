/** Flows that a client turned away because it had no room for them, by reason. */
import { DropReason, dropReasonText } from "../core/columns/drop_reason.ts";
import type { ClientStatistics } from "../control/client_engine.ts";

const NO_DESCRIPTOR = dropReasonText(DropReason.NoDescriptor);
/** Reasons to drop a flow's first packet that are about room. */
const DROPS: readonly string[] = [
  DropReason.FlowTableFull,
  DropReason.HeldFull,
  DropReason.RuleTimeout,
  DropReason.MappingTableFull,
  DropReason.NoDescriptor,
  DropReason.NoFreePort,
  DropReason.TcpTableFull,
  DropReason.TcpPeerLimit,
].map(dropReasonText);
/** What the relay calls the same. */
const RELAY: Readonly<Record<string, string>> = {
  "no-descriptor": NO_DESCRIPTOR,
  "udp droppedNoDescriptor": NO_DESCRIPTOR,
  "udp droppedSessionsFull": "UDP session table full",
  "Limited": "TCP limit of the relay",
};

/** How often a flow, or a try to begin one, found no room; reasons without any are left out. */
export function refusals(
  { counters, relay }: Pick<ClientStatistics, "counters" | "relay">,
): Record<string, number> {
  const found: Record<string, number> = {};
  const add = (reason: string, count = 0) => {
    if (count > 0) found[reason] = (found[reason] ?? 0) + count;
  };
  for (const reason of DROPS) add(reason, counters.drops[reason]);
  for (const [name, reason] of Object.entries(RELAY)) add(reason, relay[name]);
  return found;
}

/** What the user should know of them, a line each. */
export function refusalProblems(
  refused: Readonly<Record<string, number>>,
): string[] {
  const count = refused[NO_DESCRIPTOR] ?? 0;
  return count === 0 ? [] : [
    `flows were refused ${count} times since all files that this process may ` +
    "open were taken: raise the limit (ulimit -n), or lower capture.maxFlows",
  ];
}
