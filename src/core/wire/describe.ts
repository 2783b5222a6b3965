/**
 * Packets as one line of text, for traces and tests; never on a packet's way.
 */
import { DropReason, dropReasonText } from "../columns/drop_reason.ts";
import { formatAddress, formatEndpoint } from "./address.ts";
import * as icmp from "./icmp.ts";
import * as icmpv6 from "./icmpv6.ts";
import { parsePacket } from "./packet.ts";
import { FragmentKind, PacketView } from "./packet_view.ts";
import { Protocol, protocolText } from "./protocol.ts";
import * as tcp from "./tcp.ts";

/**
 * Names an IP packet: «TCP 10.8.0.2:41234 -> 1.2.3.4:443 SYN 60 bytes». Any
 * bytes will do; what is no packet gets the reason why.
 */
export function describePacket(
  bytes: Uint8Array,
  at: number,
  length: number,
): string {
  const view = new PacketView();
  const reason = parsePacket(bytes, at, length, view);
  if (reason !== DropReason.None) {
    return `${dropReasonText(reason)}, ${length} bytes`;
  }
  return `${describeView(bytes, view)} ${view.totalLength} bytes`;
}

/** Protocol, both ends and what the transport header says. */
function describeView(b: Uint8Array, view: PacketView): string {
  const { protocol, sourceWords, destinationWords } = view;
  const name = protocolText(protocol);
  const hasPorts = view.fragment !== FragmentKind.Later &&
    (protocol === Protocol.Tcp || protocol === Protocol.Udp);
  const source = hasPorts
    ? formatEndpoint(sourceWords, 0, view.sourcePort)
    : formatAddress(sourceWords);
  const destination = hasPorts
    ? formatEndpoint(destinationWords, 0, view.destinationPort)
    : formatAddress(destinationWords);
  const words = [name, source, "->", destination];
  const detail = describeTransport(b, view);
  if (detail !== "") words.push(detail);
  if (view.fragment !== FragmentKind.None) {
    words.push(
      `fragment ${view.fragmentId.toString(16)} at ${view.fragmentOffset}`,
    );
  }
  return words.join(" ");
}

function describeTransport(b: Uint8Array, view: PacketView): string {
  if (view.fragment === FragmentKind.Later) return "";
  const at = view.payloadAt;
  switch (view.protocol) {
    case Protocol.Tcp:
      return tcp.formatFlags(tcp.flags(b, at));
    case Protocol.Icmp:
      return describeIcmp(
        icmp.formatType(view.icmpType, icmp.code(b, at)),
        b,
        view,
      );
    case Protocol.Icmpv6:
      return describeIcmp(
        icmpv6.formatType(view.icmpType, icmpv6.code(b, at)),
        b,
        view,
      );
    default:
      return "";
  }
}

function describeIcmp(text: string, b: Uint8Array, view: PacketView): string {
  if (!text.startsWith("echo")) return text;
  return `${text} id ${view.identifier} seq ${
    icmp.sequence(b, view.payloadAt)
  }`;
}
