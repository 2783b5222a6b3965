/** A flow of a flow table as plain data, for those who have no packets. */
import { flowGenerationIn, FREE, type Way, wayIn } from "./flow_state.ts";
import type { FlowTable } from "./flow_table.ts";
import type { FlowEnd, FlowSnapshot } from "./flow_types.ts";

/** The flow of a row; undefined where it has none, or just changes. Any thread. */
export function snapshotFlow(
  flows: FlowTable,
  row: number,
): FlowSnapshot | undefined {
  const word = flows.wordOf(row);
  if (wayIn(word) === FREE) return undefined;
  const { traffic } = flows;
  const end = (words: Int32Array, port: number): FlowEnd => ({
    words: words.slice(row * 4, row * 4 + 4),
    port,
  });
  const snapshot: FlowSnapshot = {
    row,
    generation: flowGenerationIn(word),
    protocol: flows.protocol[row],
    local: end(flows.local, flows.localPort[row]),
    remote: end(flows.remote, flows.remotePort[row]),
    way: wayIn(word) as Way,
    outbound: flows.outbound[row],
    rule: flows.rule[row],
    to: end(flows.to, flows.toPort[row]),
    createdAt: traffic.createdAt[row],
    lastAt: traffic.lastAt(row),
    sentPackets: traffic.sentPackets[row],
    sentBytes: traffic.sentBytes[row],
    receivedPackets: traffic.receivedPackets[row],
    receivedBytes: traffic.receivedBytes[row],
  };
  return flows.wordOf(row) === word ? snapshot : undefined;
}
