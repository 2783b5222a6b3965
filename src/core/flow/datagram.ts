/** A whole UDP packet from a payload: for answers that the gateway itself gives. */
import { isMappedIpv4, writeWords } from "../wire/address.ts";
import { pseudoHeader4, pseudoHeader6 } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { Protocol } from "../wire/protocol.ts";
import * as udp from "../wire/udp.ts";

/** One end of a datagram: 4 address words and a port. */
export interface DatagramEnd {
  readonly words: Int32Array;
  readonly port: number;
}

const HOP_LIMIT = 64;

/** An IPv4 or IPv6 packet by the family of the two ends. */
export function buildDatagram(
  source: DatagramEnd,
  destination: DatagramEnd,
  payload: Uint8Array,
): Uint8Array {
  const length = udp.HEADER_LENGTH + payload.length;
  const mapped = isMappedIpv4(source.words, 0);
  const at = mapped ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
  const packet = new Uint8Array(at + length);
  udp.emit(packet, at, source.port, destination.port, length);
  packet.set(payload, at + udp.HEADER_LENGTH);
  if (mapped) {
    const from = source.words[3] >>> 0;
    const to = destination.words[3] >>> 0;
    ipv4.emit(packet, 0, at + length, Protocol.Udp, HOP_LIMIT, from, to);
    udp.updateChecksum(
      packet,
      at,
      pseudoHeader4(from, to, Protocol.Udp, length),
    );
  } else {
    ipv6.emit(packet, 0, length, Protocol.Udp, HOP_LIMIT);
    writeWords(packet, ipv6.SOURCE_AT, source.words, 0);
    writeWords(packet, ipv6.DESTINATION_AT, destination.words, 0);
    udp.updateChecksum(
      packet,
      at,
      pseudoHeader6(
        packet,
        ipv6.SOURCE_AT,
        ipv6.DESTINATION_AT,
        Protocol.Udp,
        length,
      ),
    );
  }
  return packet;
}
