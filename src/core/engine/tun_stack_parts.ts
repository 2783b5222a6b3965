/** What the engines of a TUN interface have in common: TunStack and SplitTunnel. */
import type { Batch } from "../columns/batch.ts";
import { Verdict } from "../columns/verdict.ts";
import { ProtocolClass } from "../columns/verdict_counters.ts";
import {
  DestinationKind,
  type Destinations,
  isSpecial,
} from "../route/destination.ts";
import { isMappedIpv4 } from "../wire/address.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import type { PacketView } from "../wire/packet_view.ts";
import { Protocol } from "../wire/protocol.ts";
import { AllowedIps } from "../wireguard/allowed_ips.ts";

/** What the system takes from the interface, whatever its MTU. */
export const LONGEST = 65_535;

/** The host's programs, as a peer. */
export const HOST = 0;

/** Whether a packet is what a host says to its own link: nobody beyond it is meant. */
export function isNoise(view: PacketView, destinations: Destinations): boolean {
  const { version, sourceWords, destinationWords } = view;
  if (isSpecial(sourceWords, 0)) return true;
  if (version === 6 && isMappedIpv4(destinationWords, 0)) return true;
  return destinations.kindOf(destinationWords, 0) ===
    DestinationKind.NotForwardable;
}

/** How a protocol is counted. */
export function classOf(protocol: number): ProtocolClass {
  switch (protocol) {
    case Protocol.Tcp:
      return ProtocolClass.Tcp;
    case Protocol.Udp:
      return ProtocolClass.Udp;
    case Protocol.Icmp:
    case Protocol.Icmpv6:
      return ProtocolClass.Icmp;
    default:
      return ProtocolClass.Other;
  }
}

/** Whether a packet has neither IP options nor extension headers. */
export function isPlain(view: PacketView): boolean {
  return view.headerLength ===
    (view.version === 4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH);
}

/** What goes to the only peer goes into the interface. */
export function toHost(batch: Batch): void {
  for (let row = 0; row < batch.count; row++) {
    if (batch.verdict[row] === Verdict.ToPeer) {
      batch.decide(row, Verdict.ToHost, 0);
    }
  }
}

/** Every address is the host's. */
export function everything(): AllowedIps {
  const options = { nodes: 4 };
  const buffer = new ArrayBuffer(AllowedIps.byteLength(options));
  const allowedIps = new AllowedIps(buffer, options);
  allowedIps.insert(new Uint32Array(4), 0, HOST);
  allowedIps.insert(Uint32Array.of(0, 0, 0xffff, 0), 96, HOST);
  return allowedIps;
}
