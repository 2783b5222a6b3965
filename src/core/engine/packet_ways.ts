/**
 * Ways out that carry packets: what goes into a tunnel gets the tunnel's own
 * address for its source, and what comes out of it finds its flow by that.
 *
 *     toTunnel    local:port -> remote:port   becomes   near:port' -> to:port
 *     fromTunnel  to:port -> near:port'       becomes   remote:port -> local:port
 *
 * Ports stay as they are, unless another flow has the same ends already. ICMP
 * errors are about a packet in them, which is put back as the program sent it.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import type { FlowTable } from "../flow/flow_table.ts";
import { rewriteEnds } from "../flow/rewrite_ends.ts";
import { isMappedIpv4, isUnspecified } from "../wire/address.ts";
import { ChecksumForm, type Sum } from "../wire/checksum.ts";
import * as icmp from "../wire/icmp.ts";
import { readEmbedded } from "../wire/icmp_error.ts";
import * as icmpv6 from "../wire/icmpv6.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { PacketView } from "../wire/packet_view.ts";
import { pseudoHeader, verifyTransport } from "../wire/transport_checksum.ts";
import { Protocol } from "../wire/protocol.ts";
import * as tcp from "../wire/tcp.ts";
import type { AllowedIps } from "../wireguard/allowed_ips.ts";
import { isEchoReply, isEchoRequest } from "./echo_answer.ts";
import { flowOfAnswer, flowOfQuoted, readdressAnswer } from "./flow_ends.ts";

/** A tunnel as the engine knows it. */
export interface PacketWay {
  /** The tunnel's own addresses, words; all zero where it has none in a family. */
  readonly address4: Int32Array;
  readonly address6: Int32Array;
  /** Largest packet that it carries. */
  readonly mtu: number;
  readonly allowedIps: AllowedIps;
}

/** Other ports that are tried where a flow's own is taken. */
const PORT_TRIES = 32;
const FIRST_OTHER_PORT = 32_768;
const OTHER_PORTS = 28_000;
const PORT_STEP = 7_919;

/** The tunnels by the number of their outbound. */
export class PacketWays {
  readonly #flows: FlowTable;
  readonly #sum: Sum;
  readonly #ways: (PacketWay | undefined)[];
  readonly #embedded = new PacketView();

  constructor(flows: FlowTable, outbounds: number, sum: Sum) {
    this.#flows = flows;
    this.#sum = sum;
    this.#ways = new Array(outbounds).fill(undefined);
  }

  /** The tunnel of an outbound. */
  get(outbound: number): PacketWay | undefined {
    return this.#ways[outbound];
  }

  /** Gives an outbound a tunnel, or takes it away. */
  set(outbound: number, way: PacketWay | undefined): void {
    this.#ways[outbound] = way;
  }

  /**
   * Makes a flow's packet, parsed into `view`, one of its tunnel.
   * @param mayFragment whether it may go in pieces where it is too big
   * @returns None: the row is decided; else why it can't go, and nothing has changed
   */
  toTunnel(
    batch: Batch,
    row: number,
    view: PacketView,
    flow: number,
    form: ChecksumForm,
    mayFragment: boolean,
  ): DropReason {
    const flows = this.#flows;
    const outbound = flows.outbound[flow];
    const way = this.#ways[outbound];
    if (way === undefined) return DropReason.NoOutbound;
    const near = view.version === 4 ? way.address4 : way.address6;
    if (isUnspecified(near, 0) || isMappedZero(near)) {
      return DropReason.TunnelFamily;
    }
    const peer = way.allowedIps.lookup(flows.to, flow * 4);
    if (peer < 0) return DropReason.NoPeer;
    // The pieces of a super-packet are as small as its connection's MSS says.
    const isSingle = form === ChecksumForm.Whole;
    if (isSingle && view.totalLength > way.mtu && !mayFragment) {
      return DropReason.TooBig;
    }
    if (!flows.outside.has(flow) && !this.#link(flow, near)) {
      return DropReason.NoFreePort;
    }
    const { bytes } = batch;
    const { at, payloadAt, payloadLength, protocol } = view;
    if (protocol === Protocol.Tcp) {
      clamp(bytes, view.version, payloadAt, payloadLength, way.mtu, form);
    }
    rewriteEnds(
      bytes,
      at,
      payloadAt,
      payloadLength,
      protocol,
      flows.outside.near,
      flow * 4,
      flows.outside.nearPort[flow],
      flows.to,
      flow * 4,
      flows.toPort[flow],
      form,
    );
    batch.peer[row] = peer;
    batch.decide(row, Verdict.ToTunnel, outbound);
    return DropReason.None;
  }

  /** Whether a packet that came out of a tunnel is from an address of the peer that sent it. */
  isFromPeer(outbound: number, view: PacketView, peer: number): boolean {
    const way = this.#ways[outbound];
    return way !== undefined && peer >= 0 &&
      way.allowedIps.lookup(view.sourceWords, 0) === peer;
  }

  /**
   * Makes a whole packet that came out of a tunnel, parsed into `view`, one for
   * its flow's program.
   * @returns the flow, and the row is decided; -1 where it has none, and is dropped
   */
  fromTunnel(
    batch: Batch,
    row: number,
    view: PacketView,
    outbound: number,
  ): number {
    const flows = this.#flows;
    const { bytes } = batch;
    const { protocol } = view;
    if (
      protocol !== Protocol.Tcp && protocol !== Protocol.Udp &&
      !isEchoReply(view)
    ) return this.#error(batch, row, view, outbound);
    const flow = flowOfAnswer(flows, outbound, view);
    if (flow < 0) {
      batch.drop(row, DropReason.NoMapping);
      return -1;
    }
    const way = this.#ways[outbound]!;
    if (protocol === Protocol.Tcp) {
      const { payloadAt, payloadLength } = view;
      const whole = ChecksumForm.Whole;
      clamp(bytes, view.version, payloadAt, payloadLength, way.mtu, whole);
    }
    readdressAnswer(bytes, view, flows, flow);
    batch.decide(row, Verdict.ToHost, 0);
    return flow;
  }

  /** An ICMP error about a packet of ours. */
  #error(
    batch: Batch,
    row: number,
    view: PacketView,
    outbound: number,
  ): number {
    const flows = this.#flows;
    const { bytes } = batch;
    const embedded = this.#embedded;
    const reason = verifyTransport(bytes, view, this.#sum);
    if (reason !== DropReason.None) {
      batch.drop(row, reason);
      return -1;
    }
    if (readEmbedded(bytes, view, embedded) !== DropReason.None) {
      batch.drop(row, DropReason.IcmpNotForwarded);
      return -1;
    }
    const flow = flowOfQuoted(flows, outbound, embedded);
    if (flow < 0) {
      batch.drop(row, DropReason.NoMapping);
      return -1;
    }
    rewriteEnds(
      bytes,
      embedded.at,
      embedded.payloadAt,
      embedded.payloadLength,
      embedded.protocol,
      flows.local,
      flow * 4,
      flows.localPort[flow],
      flows.remote,
      flow * 4,
      isEchoRequest(embedded) ? flows.localPort[flow] : flows.remotePort[flow],
      ChecksumForm.Whole,
    );
    this.#readdressError(bytes, view, flow);
    batch.decide(row, Verdict.ToHost, 0);
    return flow;
  }

  /** The error itself goes from whoever sent it to the program's own address. */
  #readdressError(b: Uint8Array, view: PacketView, flow: number): void {
    const { at, payloadAt, payloadLength, sourceWords } = view;
    const { local } = this.#flows;
    // ICMP's checksum is made anew: its identifier stays what it is.
    rewriteEnds(
      b,
      at,
      payloadAt,
      payloadLength,
      Protocol.Icmp,
      sourceWords,
      0,
      icmp.identifier(b, payloadAt),
      local,
      flow * 4,
      0,
      ChecksumForm.Whole,
    );
    if (view.version === 4) icmp.updateChecksum(b, payloadAt, payloadLength);
    else {
      const sum = pseudoHeader(b, view, payloadLength);
      icmpv6.updateChecksum(b, payloadAt, payloadLength, sum);
    }
  }

  /** Gives a flow an end outside that no other has. */
  #link(flow: number, near: Int32Array): boolean {
    const flows = this.#flows;
    let port = flows.localPort[flow];
    for (let left = PORT_TRIES; left > 0; left--) {
      if (flows.outside.link(flow, near, 0, port)) return true;
      port = FIRST_OTHER_PORT + (port + PORT_STEP) % OTHER_PORTS;
    }
    return false;
  }
}

function isMappedZero(words: Int32Array): boolean {
  return isMappedIpv4(words, 0) && words[3] === 0;
}

/** Keeps both ends of a TCP connection below the tunnel's MTU. */
function clamp(
  b: Uint8Array,
  version: number,
  at: number,
  length: number,
  mtu: number,
  form: ChecksumForm,
): void {
  if ((tcp.flags(b, at) & tcp.Flag.Syn) === 0) return;
  const header = version === 4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
  tcp.clampMss(b, at, length, mtu - header - tcp.HEADER_LENGTH, form);
}
