/**
 * The gateway's own answer to an echo request (RFC 792, RFC 1122 section
 * 3.2.2.6, RFC 4443 section 4.2), made in the place of the request.
 */
import type { Batch } from "../columns/batch.ts";
import { makePlain } from "../flow/headers.ts";
import { writeWords } from "../wire/address.ts";
import * as icmp from "../wire/icmp.ts";
import * as icmpv6 from "../wire/icmpv6.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import type { PacketView } from "../wire/packet_view.ts";
import { Protocol } from "../wire/protocol.ts";

const HOP_LIMIT = 64;

/** Whether a parsed whole packet asks for an echo. */
export function isEchoRequest(view: PacketView): boolean {
  return view.version === 4
    ? view.protocol === Protocol.Icmp && view.icmpType === icmp.Type.EchoRequest
    : view.protocol === Protocol.Icmpv6 &&
      view.icmpType === icmpv6.Type.EchoRequest;
}

/** Whether a parsed whole packet answers an echo request. */
export function isEchoReply(view: PacketView): boolean {
  return view.version === 4
    ? view.protocol === Protocol.Icmp && view.icmpType === icmp.Type.EchoReply
    : view.protocol === Protocol.Icmpv6 &&
      view.icmpType === icmpv6.Type.EchoReply;
}

/** Turns a row from an echo request, parsed into `view`, into its reply. */
export function answerEcho(batch: Batch, row: number, view: PacketView): void {
  const { bytes } = batch;
  makePlain(bytes, view);
  const { at, payloadAt, sourceWords, destinationWords } = view;
  if (view.version === 4) {
    ipv4.setFragment(bytes, at, 0, 0, 0);
    ipv4.setSource(bytes, at, destinationWords[3]);
    ipv4.setDestination(bytes, at, sourceWords[3]);
    bytes[at + ipv4.TIME_TO_LIVE_AT] = HOP_LIMIT;
    ipv4.updateHeaderChecksum(bytes, at);
    icmp.setType(bytes, payloadAt, icmp.Type.EchoReply, 0);
  } else {
    // The pseudo-header adds up to the same with its addresses swapped.
    bytes.copyWithin(
      at + ipv6.SOURCE_AT,
      at + ipv6.DESTINATION_AT,
      at + ipv6.HEADER_LENGTH,
    );
    writeWords(bytes, at + ipv6.DESTINATION_AT, sourceWords, 0);
    ipv6.setHopLimit(bytes, at, HOP_LIMIT);
    icmpv6.setType(bytes, payloadAt, icmpv6.Type.EchoReply, 0);
  }
  batch.offset[row] = at;
  batch.length[row] = view.totalLength;
}
