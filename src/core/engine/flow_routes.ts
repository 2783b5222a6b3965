/**
 * How a packet of a decided flow goes its way.
 *
 *     Drop                       Drop, and the program hears of it
 *     Direct, captured           FlowPassing: Pass
 *     Direct, Proxy: TCP         TcpRelay: ToHost, ToRelay, Held
 *     Direct: UDP, echo          Outbound: ToUdp, ToEcho
 *     Proxy: UDP                 ToRelayUdp
 *     Packet                     PacketWays: ToTunnel
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { FLOW_RESET_LENGTH } from "../flow/flow_reset.ts";
import { Way } from "../flow/flow_table.ts";
import type { ChecksumForm } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import { updateTransport } from "../wire/transport_checksum.ts";
import { Protocol } from "../wire/protocol.ts";
import * as tcp from "../wire/tcp.ts";
import { ErrorKind } from "./error_replies.ts";
import type { FlowPassing } from "./flow_passing.ts";
import type { SplitParts } from "./split_parts.ts";
import { HOST } from "./tun_stack_parts.ts";

/** See the module header. */
export class FlowRoutes {
  readonly #parts: SplitParts;
  readonly #passing: FlowPassing | undefined;

  /** @param passing of captured packets; undefined where direct flows are translated. */
  constructor(parts: SplitParts, passing: FlowPassing | undefined) {
    this.#parts = parts;
    this.#passing = passing;
  }

  /** Sends a packet the way that was decided for its flow. */
  route(
    batch: Batch,
    row: number,
    flow: number,
    now: number,
    form: ChecksumForm,
    isWhole: boolean,
  ): void {
    const { view, flows } = this.#parts;
    flows.traffic.noteSent(flow, view.totalLength, now);
    const way = flows.wayOf(flow);
    if (this.#passing !== undefined) {
      if (way === Way.Direct) return this.#passing.fromHost(batch, row, flow);
      // An adapter may have been left to compute it.
      if (way !== Way.Drop) updateTransport(batch.bytes, view, this.#parts.sum);
    }
    switch (way) {
      case Way.Direct:
        return view.protocol === Protocol.Tcp
          ? this.#terminate(batch, row, flow, now, form)
          : this.#direct(batch, row, flow, now, isWhole);
      case Way.Proxy:
        if (view.protocol === Protocol.Tcp) {
          return this.#terminate(batch, row, flow, now, form);
        }
        if (view.protocol === Protocol.Udp) {
          this.#parts.flows.outside.linkLocally(flow);
          return batch.decide(row, Verdict.ToRelayUdp, flow);
        }
        return this.#refuse(batch, row, DropReason.NotCarried, now);
      case Way.Packet:
        return this.#toTunnel(batch, row, flow, now, form, isWhole);
      default:
        return this.#refuse(batch, row, DropReason.RuleDrop, now);
    }
  }

  /** TCP that the relay ends. */
  #terminate(
    batch: Batch,
    row: number,
    flow: number,
    now: number,
    form: ChecksumForm,
  ): void {
    const { view, flows } = this.#parts;
    if (!this.#parts.tcp.serves(view.version)) {
      return this.#refuse(batch, row, DropReason.NotCarried, now);
    }
    this.#parts.tcp.fromClient(batch, row, view, now, form);
    if (batch.verdict[row] !== Verdict.ToRelay) return;
    const redirect = batch.target[row];
    const { outbound, to, toPort } = flows;
    this.#parts.redirects.route(
      redirect,
      outbound[flow],
      to,
      flow * 4,
      toPort[flow],
    );
    flows.redirect[flow] = redirect + 1;
    this.#parts.flowOf[redirect] = flow;
  }

  /** UDP and echo by sockets of our own. */
  #direct(
    batch: Batch,
    row: number,
    flow: number,
    now: number,
    isWhole: boolean,
  ): void {
    const { view, flows } = this.#parts;
    this.#parts.flows.outside.linkLocally(flow);
    this.#parts.sockets.own = view.identifier;
    this.#parts.outbound.decide(batch, row, view, now, isWhole);
    const verdict = batch.verdict[row];
    if (verdict !== Verdict.ToUdp && verdict !== Verdict.ToEcho) return;
    for (let word = 0; word < 4; word++) {
      batch.remote[row * 4 + word] = flows.to[flow * 4 + word];
    }
    batch.remotePort[row] = flows.toPort[flow];
  }

  #toTunnel(
    batch: Batch,
    row: number,
    flow: number,
    now: number,
    form: ChecksumForm,
    isWhole: boolean,
  ): void {
    const { view } = this.#parts;
    const mayFragment = isWhole ||
      (view.version === 4 && !ipv4.dontFragment(batch.bytes, view.at));
    const reason = this.#parts.ways.toTunnel(
      batch,
      row,
      view,
      flow,
      form,
      mayFragment,
    );
    if (reason === DropReason.None) return;
    if (reason !== DropReason.TooBig) {
      return this.#refuse(batch, row, reason, now);
    }
    batch.drop(row, reason);
    const mtu = this.#parts.ways.get(this.#parts.flows.outbound[flow])?.mtu ??
      0;
    this.#parts.errors.reply(batch, view, HOST, ErrorKind.TooBig, mtu, now);
  }

  /** Drops a row and tells its program so. */
  #refuse(batch: Batch, row: number, reason: DropReason, now: number): void {
    const { view } = this.#parts;
    batch.drop(row, reason);
    if (this.#parts.config.dropped === "silent") return;
    if (view.protocol === Protocol.Tcp) return this.#reset(batch, row);
    const kind = reason === DropReason.RuleDrop
      ? ErrorKind.Prohibited
      : ErrorKind.NetworkUnreachable;
    this.#parts.errors.reply(batch, view, HOST, kind, 0, now);
  }

  /** A segment of no connection. */
  stray(batch: Batch, row: number): void {
    batch.drop(row, DropReason.TcpNoConnection);
    this.#reset(batch, row);
  }

  /** Answers the segment in the view by a RST, in an appended row. */
  #reset(batch: Batch, row: number): void {
    const { bytes } = batch;
    const reset = batch.append(FLOW_RESET_LENGTH, batch.peer[row]);
    if (reset < 0) return;
    const at = batch.offset[reset];
    batch.length[reset] = tcp.emitReset(bytes, at, bytes, this.#parts.view.at);
    const isDue = batch.length[reset] > 0;
    batch.decide(reset, isDue ? Verdict.ToHost : Verdict.Held, 0);
  }
}
