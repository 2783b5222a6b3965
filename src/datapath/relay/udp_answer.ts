/** Turns a payload into a whole UDP packet, in place: the headers go before it. */
import { HEADER_LENGTH as IP6_LENGTH } from "../../core/wire/ipv6.ts";
import {
  emitIp,
  ipHeaderLength,
  pseudoHeaderOf,
} from "../../core/flow/headers.ts";
import { Protocol } from "../../core/wire/protocol.ts";
import * as udp from "../../core/wire/udp.ts";

/** Bytes before a payload that the headers may take. */
export const ANSWER_HEADROOM: number = IP6_LENGTH + udp.HEADER_LENGTH;

const HOP_LIMIT = 64;
const LONGEST_PACKET = 65_535;

/** The longest payload that a packet to an address can carry. */
export function longestPayload(words: Int32Array, i: number): number {
  const header = ipHeaderLength(words, i);
  // IPv6 does not count its own header.
  const counted = header === IP6_LENGTH ? 0 : header;
  return LONGEST_PACKET - counted - udp.HEADER_LENGTH;
}

/**
 * Writes IP and UDP headers with checksums in front of a payload that is no
 * longer than {@linkcode longestPayload}.
 * @param source address words at `source[i]`, of the same family as `destination[j]`
 * @param identification of IPv4; 0 to 65535
 * @returns where the packet begins; it ends with the payload
 */
export function buildAnswer(
  b: Uint8Array,
  payloadAt: number,
  payloadLength: number,
  source: Int32Array,
  i: number,
  sourcePort: number,
  destination: Int32Array,
  j: number,
  destinationPort: number,
  identification: number,
): number {
  const udpAt = payloadAt - udp.HEADER_LENGTH;
  const at = udpAt - ipHeaderLength(destination, j);
  const length = udp.HEADER_LENGTH + payloadLength;
  emitIp(
    b,
    at,
    source,
    i,
    destination,
    j,
    Protocol.Udp,
    length,
    HOP_LIMIT,
    identification,
  );
  udp.emit(b, udpAt, sourcePort, destinationPort, length);
  udp.updateChecksum(b, udpAt, pseudoHeaderOf(b, at, Protocol.Udp, length));
  return at;
}
