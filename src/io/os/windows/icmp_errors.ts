/**
 * ICMP errors as raw sockets hear of them, told apart by what they quote: a UDP
 * datagram by its source port, an echo request by the caller.
 *
 *     IPv4    IP header | ICMP 8 | quoted IP header | 8 bytes or more
 *     IPv6                ICMP 8 | quoted IP header | as much as fits
 */
import { readU16be, readU32be } from "../../../core/wire/bytes.ts";
import {
  HEADER_LENGTH as ICMP_LENGTH,
  Type as IcmpType,
  Unreachable,
} from "../../../core/wire/icmp.ts";
import { Type as Icmpv6Type } from "../../../core/wire/icmpv6.ts";
import { HEADER_LENGTH as IPV4_LENGTH } from "../../../core/wire/ipv4.ts";
import { HEADER_LENGTH as IPV6_LENGTH } from "../../../core/wire/ipv6.ts";
import { Protocol } from "../../../core/wire/protocol.ts";
import type { OutsideErrorReport } from "../../ports.ts";
import type { OutsideRows } from "./outside_rows.ts";

const UDP_LENGTH = 8;
const FRAGMENT_HEADER = 44;
const FRAGMENT_LENGTH = 8;
const MAPPED = 0xffff;

/** Reads messages of raw sockets. */
export class IcmpErrors {
  readonly #rows: OutsideRows;

  constructor(rows: OutsideRows) {
    this.#rows = rows;
  }

  /**
   * Reads what an IPv4 socket got: a packet with its IP header.
   * @returns whether it is an error about a mapping's datagram or an echo request
   */
  read4(
    b: Uint8Array,
    start: number,
    length: number,
    report: OutsideErrorReport,
  ): boolean {
    const end = start + length;
    const at = start + ((b[start] & 15) << 2);
    const quoted = at + ICMP_LENGTH;
    if (length < IPV4_LENGTH || quoted + IPV4_LENGTH > end) return false;
    const type = b[at];
    if (
      type !== IcmpType.DestinationUnreachable &&
      type !== IcmpType.TimeExceeded && type !== IcmpType.ParameterProblem
    ) return false;
    report.family = 4;
    report.type = type;
    report.code = b[at + 1];
    const tooBig = type === IcmpType.DestinationUnreachable &&
      report.code === Unreachable.FragmentationNeeded;
    report.extra = tooBig ? readU16be(b, at + 6) : 0;
    putIpv4(report.offender, readU32be(b, start + 12));
    putIpv4(report.destination, readU32be(b, quoted + 16));
    const isLater = (readU16be(b, quoted + 6) & 0x1fff) !== 0;
    const header = (b[quoted] & 15) << 2;
    if (b[quoted] >> 4 !== 4 || header < IPV4_LENGTH || isLater) return false;
    return this.#readQuoted(b, quoted + header, end, b[quoted + 9], report);
  }

  /** Reads what an IPv6 socket got: a message; who sent it is in `report.offender`. */
  read6(
    b: Uint8Array,
    at: number,
    length: number,
    report: OutsideErrorReport,
  ): boolean {
    const end = at + length;
    const quoted = at + ICMP_LENGTH;
    if (quoted + IPV6_LENGTH > end || b[quoted] >> 4 !== 6) return false;
    const type = b[at];
    if (
      type !== Icmpv6Type.DestinationUnreachable &&
      type !== Icmpv6Type.PacketTooBig && type !== Icmpv6Type.TimeExceeded &&
      type !== Icmpv6Type.ParameterProblem
    ) return false;
    report.family = 6;
    report.type = type;
    report.code = b[at + 1];
    report.extra = type === Icmpv6Type.PacketTooBig ? readU32be(b, at + 4) : 0;
    for (let w = 0; w < 4; w++) {
      report.destination[w] = readU32be(b, quoted + 24 + w * 4);
    }
    let next = quoted + IPV6_LENGTH;
    let protocol = b[quoted + 6];
    if (protocol === FRAGMENT_HEADER && next + FRAGMENT_LENGTH <= end) {
      if ((readU16be(b, next + 2) & 0xfff8) !== 0) return false;
      protocol = b[next];
      next += FRAGMENT_LENGTH;
    }
    return this.#readQuoted(b, next, end, protocol, report);
  }

  /** Reads what stands behind the quoted IP header. */
  #readQuoted(
    b: Uint8Array,
    at: number,
    end: number,
    protocol: number,
    report: OutsideErrorReport,
  ): boolean {
    if (at + UDP_LENGTH > end) return false;
    const family = report.family === 4 ? 4 : 6;
    const icmp = family === 4 ? Protocol.Icmp : Protocol.Icmpv6;
    if (protocol === icmp) {
      const request = family === 4
        ? IcmpType.EchoRequest
        : Icmpv6Type.EchoRequest;
      report.natRow = -1;
      report.destinationPort = 0;
      report.payloadAt = at;
      report.payloadLength = end - at;
      return b[at] === request;
    }
    if (protocol !== Protocol.Udp) return false;
    report.natRow = this.#rows.row(family, readU16be(b, at));
    report.destinationPort = readU16be(b, at + 2);
    report.payloadAt = at + UDP_LENGTH;
    const told = Math.max(0, readU16be(b, at + 4) - UDP_LENGTH);
    report.payloadLength = Math.min(told, end - report.payloadAt);
    return report.natRow >= 0;
  }
}

function putIpv4(words: Int32Array, address: number): void {
  words[0] = 0;
  words[1] = 0;
  words[2] = MAPPED;
  words[3] = address;
}
