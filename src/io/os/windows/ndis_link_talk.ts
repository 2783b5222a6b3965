/**
 * What a host and its neighbours say to each other about the link itself, and
 * without which there is none: neighbour discovery and router advertisements
 * (RFC 4861). No router passes it on: its hop limit must be 255.
 */
import * as icmpv6 from "../../../core/wire/icmpv6.ts";
import * as ipv6 from "../../../core/wire/ipv6.ts";
import { Protocol } from "../../../core/wire/protocol.ts";

/** Router solicitation to redirect. */
const FIRST_TYPE = 133;
const LAST_TYPE = 137;
const HOP_LIMIT = 255;

/** Whether the packet at `at` is such a one. */
export function isLinkTalk(
  b: Uint8Array,
  at: number,
  length: number,
): boolean {
  if (length < ipv6.HEADER_LENGTH + icmpv6.HEADER_LENGTH) return false;
  if (b[at] >>> 4 !== 6 || ipv6.nextHeader(b, at) !== Protocol.Icmpv6) {
    return false;
  }
  const type = icmpv6.type(b, at + ipv6.HEADER_LENGTH);
  return type >= FIRST_TYPE && type <= LAST_TYPE &&
    ipv6.hopLimit(b, at) === HOP_LIMIT;
}
