/**
 * Whole packets that come in by a way out: the flow that they are for, and their
 * program's own ends.
 *
 *     an answer             to : to port     ->  near : near port
 *     what an error quotes  near : near port ->  to : to port
 *     for the program       remote : port    ->  local : port
 *
 * An echo has its identifier in the place of our port, and none of the other's.
 */
import type { FlowTable } from "../flow/flow_table.ts";
import { rewriteEnds } from "../flow/rewrite_ends.ts";
import { ChecksumForm } from "../wire/checksum.ts";
import { FragmentKind, type PacketView } from "../wire/packet_view.ts";
import { isEchoReply, isEchoRequest } from "./echo_answer.ts";

/** The flow that a packet answers. @returns the row, or -1 */
export function flowOfAnswer(
  flows: FlowTable,
  outbound: number,
  view: PacketView,
): number {
  const isEcho = isEchoReply(view);
  return flows.outside.lookup(
    outbound,
    view.protocol,
    view.destinationWords,
    0,
    isEcho ? view.identifier : view.destinationPort,
    view.sourceWords,
    0,
    isEcho ? 0 : view.sourcePort,
  );
}

/** The flow whose packet an ICMP error quotes. @returns the row, or -1 */
export function flowOfQuoted(
  flows: FlowTable,
  outbound: number,
  embedded: PacketView,
): number {
  if (embedded.fragment === FragmentKind.Later) return -1;
  const isEcho = isEchoRequest(embedded);
  return flows.outside.lookup(
    outbound,
    embedded.protocol,
    embedded.sourceWords,
    0,
    isEcho ? embedded.identifier : embedded.sourcePort,
    embedded.destinationWords,
    0,
    isEcho ? 0 : embedded.destinationPort,
  );
}

/** Gives an answer the ends that its program knows. */
export function readdressAnswer(
  b: Uint8Array,
  view: PacketView,
  flows: FlowTable,
  flow: number,
): void {
  rewriteEnds(
    b,
    view.at,
    view.payloadAt,
    view.payloadLength,
    view.protocol,
    flows.remote,
    flow * 4,
    isEchoReply(view) ? flows.localPort[flow] : flows.remotePort[flow],
    flows.local,
    flow * 4,
    flows.localPort[flow],
    ChecksumForm.Whole,
  );
}
