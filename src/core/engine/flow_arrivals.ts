/**
 * Packets of programs on their way to a flow: the one that they belong to, or a
 * new one, whose first packet is held while somebody is asked.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { Way } from "../flow/flow_table.ts";
import { ChecksumForm } from "../wire/checksum.ts";
import { pseudoHeader, verifyTransport } from "../wire/transport_checksum.ts";
import { Protocol } from "../wire/protocol.ts";
import * as tcp from "../wire/tcp.ts";
import type { FlowEndings } from "./flow_endings.ts";
import type { FlowRoutes } from "./flow_routes.ts";
import { isOwnPort, type SplitParts } from "./split_parts.ts";
import { isPlain } from "./tun_stack_parts.ts";

const SYN_BITS = tcp.Flag.Syn | tcp.Flag.Ack | tcp.Flag.Rst | tcp.Flag.Fin;

/** See the module header. */
export class FlowArrivals {
  readonly #parts: SplitParts;
  readonly #routes: FlowRoutes;
  readonly #endings: FlowEndings;

  constructor(
    parts: SplitParts,
    options: {
      readonly routes: FlowRoutes;
      readonly endings: FlowEndings;
    },
  ) {
    this.#parts = parts;
    this.#routes = options.routes;
    this.#endings = options.endings;
  }

  /** A segment of a program's: a flow begins with a SYN alone. */
  connection(batch: Batch, row: number, now: number): void {
    const { view, flows } = this.#parts;
    const form = batch.partial[row] as ChecksumForm;
    // Of headers that move, the device's own one would say what is wrong.
    const isMoved = form === ChecksumForm.Partial && !isPlain(view);
    if (isMoved) return batch.drop(row, DropReason.ProtocolNotForwarded);
    const { payloadAt, payloadLength } = view;
    const flags = tcp.flags(batch.bytes, payloadAt);
    const isSyn = (flags & SYN_BITS) === tcp.Flag.Syn;
    let flow = this.#lookup(view.sourcePort, view.destinationPort);
    if (isSyn && flow >= 0) {
      const sequence = tcp.sequence(batch.bytes, payloadAt) | 0;
      if (sequence !== flows.initialSequence[flow]) {
        // Another connection, maybe another program's.
        this.#endings.drop(flow, now);
        flow = -1;
      } else if (flows.wayOf(flow) === Way.Waiting) {
        return batch.drop(row, DropReason.RuleWait);
      }
    }
    if (flow < 0) {
      if (isSyn) this.#begin(batch, row, 0, 0, now);
      else this.#routes.stray(batch, row);
      return;
    }
    if (flows.wayOf(flow) === Way.Waiting) {
      return batch.drop(row, DropReason.RuleWait);
    }
    flows.progress.noteClient(flow, batch.bytes, payloadAt, payloadLength, now);
    this.#routes.route(batch, row, flow, now, form, false);
  }

  /** A datagram or an echo request. */
  datagram(batch: Batch, row: number, now: number, isWhole: boolean): void {
    const { view, flows } = this.#parts;
    const isUdp = view.protocol === Protocol.Udp;
    if (isUdp && isOwnPort(this.#parts, view.sourcePort)) {
      // By a tunnel it would go round in a circle.
      return this.#parts.config.direct === "passed"
        ? batch.decide(row, Verdict.Pass, 0)
        : batch.drop(row, DropReason.OwnSocket);
    }
    const localPort = isUdp ? view.sourcePort : view.identifier;
    const remotePort = isUdp ? view.destinationPort : 0;
    const flow = this.#lookup(localPort, remotePort);
    if (flow < 0) return this.#begin(batch, row, localPort, remotePort, now);
    if (flows.wayOf(flow) !== Way.Waiting) {
      return this.#routes.route(
        batch,
        row,
        flow,
        now,
        ChecksumForm.Whole,
        isWhole,
      );
    }
    const generation = flows.generationOf(flow);
    const { bytes, offset, length } = batch;
    const at = offset[row];
    if (
      this.#parts.held.add(flow, generation, bytes, at, length[row], now)
    ) batch.decide(row, Verdict.Held, 0);
    else batch.drop(row, DropReason.HeldFull);
  }

  #lookup(localPort: number, remotePort: number): number {
    const { protocol, sourceWords, destinationWords } = this.#parts.view;
    return this.#parts.flows.lookup(
      protocol,
      sourceWords,
      localPort,
      destinationWords,
      remotePort,
    );
  }

  /** A new flow: its first packet is held, and somebody is asked. */
  #begin(
    batch: Batch,
    row: number,
    localPort: number,
    remotePort: number,
    now: number,
  ): void {
    const { view, flows } = this.#parts;
    const { bytes } = batch;
    const { payloadAt, payloadLength } = view;
    const isTcp = view.protocol === Protocol.Tcp;
    if (batch.partial[row] === ChecksumForm.Partial) {
      const pseudo = pseudoHeader(bytes, view, payloadLength);
      tcp.updateChecksum(bytes, payloadAt, payloadLength, pseudo);
      batch.partial[row] = ChecksumForm.Whole;
    } else if (this.#parts.config.direct === "translated") {
      const reason = verifyTransport(bytes, view, this.#parts.sum);
      if (reason !== DropReason.None) return batch.drop(row, reason);
    }
    if (flows.waiting >= this.#parts.config.maxWaiting) {
      return batch.drop(row, DropReason.HeldFull);
    }
    const flow = flows.begin(
      view.protocol,
      view.sourceWords,
      isTcp ? view.sourcePort : localPort,
      view.destinationWords,
      isTcp ? view.destinationPort : remotePort,
      now,
    );
    if (flow < 0) return batch.drop(row, DropReason.FlowTableFull);
    const generation = flows.generationOf(flow);
    if (isTcp) {
      flows.initialSequence[flow] = tcp.sequence(bytes, payloadAt) | 0;
    }
    const at = batch.offset[row];
    if (
      !this.#parts.held.add(flow, generation, bytes, at, view.totalLength, now)
    ) {
      flows.release(flow);
      batch.drop(row, DropReason.HeldFull);
    } else if (!this.#parts.listener.ask(flow, generation, batch, row)) {
      this.#parts.held.forget(flow);
      flows.release(flow);
      batch.drop(row, DropReason.ControlQueueFull);
    } else batch.decide(row, Verdict.Held, 0);
  }
}
