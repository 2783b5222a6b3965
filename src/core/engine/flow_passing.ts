/**
 * Direct flows whose packets are captured on their way: they go on as they are,
 * and what comes from the network passes for them alone.
 *
 *     fromHost      to is the remote     Pass, untouched
 *                   to is another        other ends, checksum made anew, Pass
 *                   put together         in pieces again, as long as the MTU says
 *     fromNetwork   of a direct flow     Pass, with its program's own ends
 *                   an error about one   Pass
 *                   for a tunnel's own   Pass
 *                   socket
 *                   a call at a port     a direct flow, Pass
 *                   that is answered
 *                   anything else        Drop: nobody here has asked for it by
 *                                        this way, or somebody who may not
 *
 * Fragments from the network are put together first, as those of programs are:
 * the later ones have no ports.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { Way } from "../flow/flow_table.ts";
import { rewriteEnds } from "../flow/rewrite_ends.ts";
import { splitRow } from "../flow/split.ts";
import { equalWords } from "../wire/address.ts";
import { ChecksumForm } from "../wire/checksum.ts";
import { readEmbedded } from "../wire/icmp_error.ts";
import { parsePacket } from "../wire/packet.ts";
import { FragmentKind, PacketView } from "../wire/packet_view.ts";
import {
  updateTransport,
  verifyTransport,
} from "../wire/transport_checksum.ts";
import { Protocol } from "../wire/protocol.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";
import { isEchoReply } from "./echo_answer.ts";
import { flowOfAnswer, flowOfQuoted, readdressAnswer } from "./flow_ends.ts";
import type { FlowReturns } from "./flow_returns.ts";
import { FragmentGate } from "./fragment_gate.ts";
import { DIRECT, isOwnPort, type SplitParts } from "./split_parts.ts";

const SYN_BITS = tcp.Flag.Syn | tcp.Flag.Ack | tcp.Flag.Rst | tcp.Flag.Fin;
const NO_RULE = -1;

/** See the module header. */
export class FlowPassing {
  readonly #parts: SplitParts;
  readonly #returns: Pick<FlowReturns, "noteAnswer">;
  readonly #fragments: FragmentGate;
  readonly #embedded = new PacketView();
  /** By port: 1 where others may call. */
  readonly #answered = new Uint8Array(65_536);
  #identification = 0;

  constructor(
    parts: SplitParts,
    returns: Pick<FlowReturns, "noteAnswer">,
  ) {
    const { fragmentSlots: slots } = parts.config.gateway;
    this.#parts = parts;
    this.#returns = returns;
    for (const port of parts.config.answeredPorts) this.#answered[port] = 1;
    this.#fragments = new FragmentGate({ slots, slotsPerPeer: slots });
  }

  /** Gives up fragments that have waited for too long. */
  expire(batch: Batch, now: number): void {
    this.#fragments.expire(batch, now);
  }

  /** Decides a packet of a direct flow's program, parsed into the parts' view. */
  fromHost(batch: Batch, row: number, flow: number): void {
    const { view, flows, sum } = this.#parts;
    flows.outside.linkLocally(flow);
    if (this.#isElsewhere(flow)) {
      updateTransport(batch.bytes, view, sum);
      rewriteEnds(
        batch.bytes,
        view.at,
        view.payloadAt,
        view.payloadLength,
        view.protocol,
        flows.local,
        flow * 4,
        flows.localPort[flow],
        flows.to,
        flow * 4,
        flows.toPort[flow],
        ChecksumForm.Whole,
      );
    }
    this.#pass(batch, row);
  }

  /** Decides a packet from the network, parsed into the parts' view. */
  fromNetwork(batch: Batch, row: number, now: number): void {
    const { view } = this.#parts;
    if (view.fragment === FragmentKind.None) {
      return this.#receive(batch, row, now);
    }
    const whole = this.#fragments.add(batch, row, view, now);
    if (whole < 0) return;
    const { bytes, offset, length } = batch;
    const reason = parsePacket(bytes, offset[whole], length[whole], view);
    if (reason !== DropReason.None) return batch.drop(whole, reason);
    this.#receive(batch, whole, now);
  }

  /** What is for the host goes by the adapter's frames, so in pieces that fit. */
  fitHost(batch: Batch): void {
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      if (batch.verdict[row] === Verdict.ToHost) this.#fit(batch, row);
    }
  }

  #receive(batch: Batch, row: number, now: number): void {
    const { view, flows } = this.#parts;
    const { protocol } = view;
    if (
      protocol === Protocol.Udp && isOwnPort(this.#parts, view.destinationPort)
    ) return this.#pass(batch, row);
    if (
      protocol !== Protocol.Tcp && protocol !== Protocol.Udp &&
      !isEchoReply(view)
    ) return this.#error(batch, row);
    let flow = flowOfAnswer(flows, DIRECT, view);
    const { bytes } = batch;
    if (flow < 0) flow = this.#answer(bytes, now);
    if (flow < 0 || flows.wayOf(flow) !== Way.Direct) {
      return batch.drop(row, DropReason.NoMapping);
    }
    const { payloadAt, payloadLength } = view;
    flows.traffic.noteReceived(flow, view.totalLength, now);
    if (protocol === Protocol.Tcp) {
      const generation = flows.generationOf(flow);
      flows.progress.noteHost(
        flow,
        generation,
        bytes,
        payloadAt,
        payloadLength,
        now,
      );
    } else if (protocol === Protocol.Udp) {
      const length = udp.datagramLength(bytes, payloadAt) - udp.HEADER_LENGTH;
      const data = payloadAt + udp.HEADER_LENGTH;
      this.#returns.noteAnswer(flow, bytes, data, length);
    }
    if (this.#isElsewhere(flow)) readdressAnswer(bytes, view, flows, flow);
    this.#pass(batch, row);
  }

  /** A flow for somebody who calls at a port that is answered. @returns the row, or -1 */
  #answer(b: Uint8Array, now: number): number {
    const { view, flows } = this.#parts;
    const { protocol, sourceWords, destinationWords } = view;
    const { sourcePort, destinationPort, payloadAt } = view;
    if (
      protocol !== Protocol.Tcp || this.#answered[destinationPort] === 0 ||
      (tcp.flags(b, payloadAt) & SYN_BITS) !== tcp.Flag.Syn
    ) return -1;
    // Callers must not keep programs here from calling others.
    if (flows.size > flows.capacity >> 1) return -1;
    const known = flows.lookup(
      protocol,
      destinationWords,
      destinationPort,
      sourceWords,
      sourcePort,
    );
    if (known >= 0) return -1;
    const flow = flows.begin(
      protocol,
      destinationWords,
      destinationPort,
      sourceWords,
      sourcePort,
      now,
    );
    if (flow < 0) return -1;
    const sequence = tcp.sequence(b, payloadAt) | 0;
    flows.initialSequence[flow] = sequence;
    flows.settle(flow, Way.Direct, DIRECT, NO_RULE, sourceWords, 0, sourcePort);
    flows.outside.link(flow, destinationWords, 0, destinationPort);
    return flow;
  }

  /** An ICMP error about a packet of a direct flow. */
  #error(batch: Batch, row: number): void {
    const { view, flows, sum } = this.#parts;
    const { bytes } = batch;
    const embedded = this.#embedded;
    const reason = verifyTransport(bytes, view, sum);
    if (reason !== DropReason.None) return batch.drop(row, reason);
    if (readEmbedded(bytes, view, embedded) !== DropReason.None) {
      return batch.drop(row, DropReason.IcmpNotForwarded);
    }
    const isOwn = embedded.protocol === Protocol.Udp &&
      isOwnPort(this.#parts, embedded.sourcePort);
    if (isOwn) return this.#pass(batch, row);
    const flow = flowOfQuoted(flows, DIRECT, embedded);
    // One that quotes an end which the program has never named would mean nothing to it.
    if (
      flow < 0 || flows.wayOf(flow) !== Way.Direct || this.#isElsewhere(flow)
    ) return batch.drop(row, DropReason.NoMapping);
    this.#pass(batch, row);
  }

  /** Whether a flow is sent to another end than its program has named. */
  #isElsewhere(flow: number): boolean {
    const { flows } = this.#parts;
    const i = flow * 4;
    return flows.toPort[flow] !== flows.remotePort[flow] ||
      !equalWords(flows.to, i, flows.remote, i);
  }

  #pass(batch: Batch, row: number): void {
    batch.decide(row, Verdict.Pass, 0);
    this.#fit(batch, row);
  }

  #fit(batch: Batch, row: number): void {
    const { mtu } = this.#parts.config.gateway;
    if (batch.length[row] <= mtu) return;
    this.#identification = (this.#identification + 1) | 0;
    splitRow(batch, row, mtu, this.#identification);
  }
}
