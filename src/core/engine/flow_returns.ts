/**
 * What comes in for flows. It passes only for a flow of the way that it came by:
 *
 *     fromRelay      a connection that the relay has ended    redirect row
 *     fromOutside    a socket of the direct way               NAT row, remote
 *     fromTunnel     a packet tunnel                          both ends outside
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import type { ChecksumForm } from "../wire/checksum.ts";
import { parsePacket } from "../wire/packet.ts";
import { FragmentKind } from "../wire/packet_view.ts";
import { Protocol } from "../wire/protocol.ts";
import * as udp from "../wire/udp.ts";
import { FragmentGate } from "./fragment_gate.ts";
import { DIRECT, type SplitParts } from "./split_parts.ts";
import { classOf } from "./tun_stack_parts.ts";

const DNS_PORT = 53;

/** See the module header. */
export class FlowReturns {
  readonly #parts: SplitParts;
  readonly #tunnelFragments: FragmentGate;

  constructor(parts: SplitParts) {
    const { fragmentSlots, fragmentSlotsPerPeer } = parts.config.gateway;
    this.#parts = parts;
    // Each outbound owns its own.
    this.#tunnelFragments = new FragmentGate({
      slots: fragmentSlots,
      slotsPerPeer: fragmentSlotsPerPeer,
    });
  }

  /** Gives up fragments that have waited for too long. */
  expire(batch: Batch, now: number): void {
    this.#tunnelFragments.expire(batch, now);
  }

  /** Decides a row from the relay's address. */
  fromRelay(batch: Batch, row: number, now: number): void {
    const form = batch.partial[row] as ChecksumForm;
    const { flows, view } = this.#parts;
    const redirect = this.#parts.tcp.fromRelay(batch, row, now, form);
    if (redirect < 0) return;
    batch.decide(row, Verdict.ToHost, 0);
    const flow = this.#parts.flowOf[redirect];
    if (flow < 0 || flows.redirect[flow] !== redirect + 1) return;
    flows.traffic.noteReceived(flow, view.totalLength, now);
  }

  /** Decides a row that a socket of the direct way received. */
  fromOutside(batch: Batch, row: number, now: number): void {
    const { flows, nat } = this.#parts;
    const { remote, remotePort } = batch;
    const natRow = this.#parts.inbound.mappingOf(batch, row);
    const isUdp = natRow >= 0 && nat.protocol[natRow] === Protocol.Udp;
    const flow = natRow < 0 ? -1 : flows.outside.lookup(
      DIRECT,
      nat.protocol[natRow],
      nat.internal,
      natRow * 4,
      nat.internalPort[natRow],
      remote,
      row * 4,
      isUdp ? remotePort[row] : 0,
    );
    const length = batch.length[row];
    if (flow < 0) {
      // Somebody whom no flow of the direct way has asked.
      batch.drop(row, DropReason.NoMapping);
      return this.#count(Protocol.Udp, Verdict.Drop, length);
    }
    const at = batch.offset[row];
    for (let word = 0; word < 4; word++) {
      remote[row * 4 + word] = flows.remote[flow * 4 + word];
    }
    if (isUdp) remotePort[row] = flows.remotePort[flow];
    this.#parts.inbound.decide(batch, row, now);
    this.#count(nat.protocol[natRow], batch.verdict[row], length);
    if (batch.verdict[row] === Verdict.Drop) return;
    flows.traffic.noteReceived(flow, length, now);
    this.noteAnswer(flow, batch.bytes, at, length);
  }

  /** Decides a row that a peer (`batch.peer`) of an outbound's packet tunnel sent. */
  fromTunnel(batch: Batch, row: number, outbound: number, now: number): void {
    const { view } = this.#parts;
    const { bytes, offset, length } = batch;
    const reason = parsePacket(bytes, offset[row], length[row], view);
    if (reason !== DropReason.None) return batch.drop(row, reason);
    length[row] = view.totalLength;
    if (!this.#parts.ways.isFromPeer(outbound, view, batch.peer[row])) {
      return batch.drop(row, DropReason.SpoofedSource);
    }
    if (view.fragment !== FragmentKind.None) {
      batch.peer[row] = outbound;
      const whole = this.#tunnelFragments.add(batch, row, view, now);
      if (whole < 0) return;
      const { offset, length } = batch;
      const again = parsePacket(bytes, offset[whole], length[whole], view);
      if (again !== DropReason.None) return batch.drop(whole, again);
      return this.#deliver(batch, whole, outbound, now);
    }
    this.#deliver(batch, row, outbound, now);
  }

  #deliver(batch: Batch, row: number, outbound: number, now: number): void {
    const { view, flows } = this.#parts;
    const { bytes } = batch;
    const flow = this.#parts.ways.fromTunnel(batch, row, view, outbound);
    if (flow < 0) return;
    const { payloadAt, payloadLength, totalLength } = view;
    flows.traffic.noteReceived(flow, totalLength, now);
    if (view.protocol === Protocol.Tcp) {
      const generation = flows.generationOf(flow);
      const { progress } = flows;
      progress.noteHost(
        flow,
        generation,
        bytes,
        payloadAt,
        payloadLength,
        now,
      );
    } else if (view.protocol === Protocol.Udp) {
      const length = udp.datagramLength(bytes, payloadAt) - udp.HEADER_LENGTH;
      this.noteAnswer(flow, bytes, payloadAt + udp.HEADER_LENGTH, length);
    }
  }

  /** Shows the answers of resolvers. */
  noteAnswer(flow: number, b: Uint8Array, at: number, length: number): void {
    const { flows } = this.#parts;
    if (
      flows.remotePort[flow] !== DNS_PORT ||
      flows.protocol[flow] !== Protocol.Udp
    ) return;
    const generation = flows.generationOf(flow);
    this.#parts.listener.dnsAnswer(flow, generation, b, at, length);
  }

  #count(protocol: number, verdict: number, bytes: number): void {
    this.#parts.counters.count(
      classOf(protocol),
      verdict as Verdict,
      bytes,
    );
  }
}
