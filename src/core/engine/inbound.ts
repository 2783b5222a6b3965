/**
 * What comes in through the sockets of mappings: datagrams, echo replies, and
 * reports of ICMP errors about what a mapping has sent (RFC 4787 REQ-8, REQ-12,
 * RFC 5508 REQ-3, REQ-4, REQ-6).
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { admits } from "../flow/filtering.ts";
import { ipHeaderLength } from "../flow/headers.ts";
import type { NatTable } from "../flow/nat.ts";
import { restoreEmbedded } from "../flow/translate.ts";
import { isMappedIpv4, isUnspecified, setMappedIpv4 } from "../wire/address.ts";
import { copyBytes, readU16be } from "../wire/bytes.ts";
import { checksum, type Sum } from "../wire/checksum.ts";
import * as icmp from "../wire/icmp.ts";
import {
  emitError4,
  emitError6,
  MAX_ERROR_4,
  MAX_ERROR_6,
} from "../wire/icmp_error.ts";
import * as icmpv6 from "../wire/icmpv6.ts";
import { Protocol } from "../wire/protocol.ts";
import * as udp from "../wire/udp.ts";
import type { GatewayConfig } from "./gateway_config.ts";
import type { LiveMappings } from "./live_mappings.ts";
import type { OutsideError } from "./outside_error.ts";
import type { PeerDelivery } from "./peer_delivery.ts";

/** The parts of a gateway that packets from the outside need. */
export interface InboundParts {
  readonly config: GatewayConfig;
  readonly nat: NatTable;
  readonly live: LiveMappings;
  readonly delivery: PeerDelivery;
  readonly sum: Sum;
}

const DEFAULT_HOP_LIMIT = 64;

/** Brings the outside's answers to clients. */
export class Inbound {
  readonly #config: GatewayConfig;
  readonly #nat: NatTable;
  readonly #live: LiveMappings;
  readonly #delivery: PeerDelivery;
  readonly #sum: Sum;
  readonly #gateway4 = new Int32Array(4);

  constructor(parts: InboundParts) {
    this.#config = parts.config;
    this.#nat = parts.nat;
    this.#live = parts.live;
    this.#delivery = parts.delivery;
    this.#sum = parts.sum;
    setMappedIpv4(this.#gateway4, 0, parts.config.address4);
  }

  /** The NAT row that a received row is for, or -1. */
  mappingOf(batch: Batch, row: number): number {
    return batch.target[row] >= 0
      ? batch.target[row]
      : this.#echoMapping(batch, row);
  }

  /** Decides a row that a mapping's socket received. */
  decide(batch: Batch, row: number, now: number): void {
    const nat = this.#nat;
    const mapping = this.mappingOf(batch, row);
    const reason = this.#refusal(batch, row, mapping, now);
    if (reason !== DropReason.None) {
      batch.drop(row, reason);
      return;
    }
    const hopLimit = (batch.hopLimit[row] || DEFAULT_HOP_LIMIT + 1) - 1;
    const isDelivered = this.#delivery.deliverTranslated(
      batch,
      row,
      nat,
      mapping,
      hopLimit,
      this.#sum,
    );
    if (isDelivered) nat.lastInboundAt[mapping] = now;
  }

  /** Appends what a client is told of a report about its datagram, or a Drop. */
  error(batch: Batch, natRow: number, error: OutsideError, now: number): void {
    const mapping = natRow >= 0
      ? natRow
      : this.#reportedEchoMapping(batch, error);
    const reason = this.#errorRefusal(mapping, error, now);
    if (reason !== DropReason.None) {
      this.#appendDrop(batch, reason);
      return;
    }
    const isIpv4 = error.family === 4;
    const row = batch.append(isIpv4 ? MAX_ERROR_4 : MAX_ERROR_6, -1);
    if (row < 0) {
      this.#appendDrop(batch, DropReason.BatchFull);
      return;
    }
    this.#writeError(batch, row, mapping, error);
    batch.decide(row, Verdict.ToPeer, this.#nat.peer[mapping]);
  }

  /** Why a row may not come in; None where it may. */
  #refusal(
    batch: Batch,
    row: number,
    mapping: number,
    now: number,
  ): DropReason {
    const nat = this.#nat;
    const isEcho = batch.target[row] < 0 ||
      isEchoProtocol(nat.protocol[mapping]);
    if (!this.#live.has(mapping, now)) {
      return isEcho ? DropReason.UnmatchedEchoReply : DropReason.NoMapping;
    }
    const { remote } = batch;
    const family = isMappedIpv4(remote, row * 4) ? 4 : 6;
    if (family !== nat.family[mapping]) return DropReason.Filtered;
    if (isEcho) {
      const reason = this.#echoRefusal(batch, row, mapping);
      if (reason !== DropReason.None) return reason;
    }
    const port = isEcho ? 0 : batch.remotePort[row];
    if (!admits(nat, mapping, this.#config, remote, row * 4, port, now)) {
      return DropReason.Filtered;
    }
    return batch.hopLimit[row] === 1
      ? DropReason.HopLimitExceeded
      : DropReason.None;
  }

  /** An echo row has to be an intact reply with the mapping's identifier. */
  #echoRefusal(batch: Batch, row: number, mapping: number): DropReason {
    const { bytes } = batch;
    const at = batch.offset[row];
    const length = batch.length[row];
    if (length < icmp.HEADER_LENGTH) return DropReason.TooShort;
    const isIpv4 = this.#nat.family[mapping] === 4;
    const expected = isIpv4 ? icmp.Type.EchoReply : icmpv6.Type.EchoReply;
    if (icmp.type(bytes, at) !== expected) return DropReason.IcmpNotForwarded;
    if (icmp.identifier(bytes, at) !== this.#nat.externalPort[mapping]) {
      return DropReason.UnmatchedEchoReply;
    }
    // The system checks ICMPv6 itself, whose pseudo-header we don't know.
    if (isIpv4 && checksum(bytes, at, length) !== 0) {
      return DropReason.BadChecksum;
    }
    return DropReason.None;
  }

  #errorRefusal(mapping: number, error: OutsideError, now: number): DropReason {
    if (!this.#live.has(mapping, now)) return DropReason.NoMapping;
    if (error.family !== this.#nat.family[mapping]) {
      return DropReason.IcmpNotForwarded;
    }
    const isIpv4 = error.family === 4;
    if (isMappedIpv4(error.destination, 0) !== isIpv4) {
      return DropReason.IcmpNotForwarded;
    }
    const passed = isIpv4
      ? error.type === icmp.Type.DestinationUnreachable ||
        error.type === icmp.Type.TimeExceeded ||
        error.type === icmp.Type.ParameterProblem
      : error.type >= icmpv6.Type.DestinationUnreachable &&
        error.type <= icmpv6.Type.ParameterProblem;
    return passed ? DropReason.None : DropReason.IcmpNotForwarded;
  }

  /** Writes the error with the client's own packet in it (RFC 5508 REQ-4). */
  #writeError(
    batch: Batch,
    row: number,
    mapping: number,
    error: OutsideError,
  ): void {
    const { bytes } = batch;
    const nat = this.#nat;
    const at = batch.offset[row];
    const isUdp = nat.protocol[mapping] === Protocol.Udp;
    const header = ipHeaderLength(nat.internal, mapping * 4);
    const embeddedAt = at + header + icmp.HEADER_LENGTH;
    const payloadAt = embeddedAt + header + (isUdp ? udp.HEADER_LENGTH : 0);
    const room = batch.length[row] - (payloadAt - at);
    let known = Math.max(0, Math.min(room, error.payloadLength));
    copyBytes(bytes, payloadAt, bytes, error.payloadAt, known);
    if (!isUdp && known < icmp.HEADER_LENGTH) {
      bytes.fill(0, payloadAt, payloadAt + icmp.HEADER_LENGTH);
      bytes[payloadAt] = error.family === 4
        ? icmp.Type.EchoRequest
        : icmpv6.Type.EchoRequest;
      known = icmp.HEADER_LENGTH;
    }
    const { destination, destinationPort } = error;
    const length = restoreEmbedded(
      bytes,
      embeddedAt,
      nat,
      mapping,
      destination,
      destinationPort,
      known,
    );
    const source = this.#reporter(error);
    const { type, code, extra } = error;
    batch.length[row] = error.family === 4
      ? emitError4(
        bytes,
        at,
        source[3] >>> 0,
        type,
        code,
        extra,
        bytes,
        embeddedAt,
        length,
      )
      : emitError6(
        bytes,
        at,
        source,
        type,
        code,
        extra,
        bytes,
        embeddedAt,
        length,
      );
  }

  /** The address that an error comes from: who reported it, else the gateway. */
  #reporter(error: OutsideError): Int32Array {
    const { offender, destination } = error;
    const isIpv4 = error.family === 4;
    if (isMappedIpv4(offender, 0) === isIpv4 && !isUnspecified(offender, 0)) {
      return offender;
    }
    const own = isIpv4 ? this.#gateway4 : this.#config.address6;
    return isUnspecified(own, 0) ? destination : own;
  }

  #echoMapping(batch: Batch, row: number): number {
    if (batch.length[row] < icmp.HEADER_LENGTH) return -1;
    const identifier = icmp.identifier(batch.bytes, batch.offset[row]);
    return isMappedIpv4(batch.remote, row * 4)
      ? this.#nat.lookupExternal(Protocol.Icmp, 4, identifier)
      : this.#nat.lookupExternal(Protocol.Icmpv6, 6, identifier);
  }

  #reportedEchoMapping(batch: Batch, error: OutsideError): number {
    if (error.payloadLength < icmp.HEADER_LENGTH) return -1;
    const identifier = readU16be(
      batch.bytes,
      error.payloadAt + icmp.IDENTIFIER_AT,
    );
    const protocol = error.family === 4 ? Protocol.Icmp : Protocol.Icmpv6;
    return this.#nat.lookupExternal(protocol, error.family, identifier);
  }

  #appendDrop(batch: Batch, reason: DropReason): void {
    const row = batch.push(0, 0, -1);
    if (row >= 0) batch.drop(row, reason);
  }
}

function isEchoProtocol(protocol: number): boolean {
  return protocol === Protocol.Icmp || protocol === Protocol.Icmpv6;
}
