/**
 * What becomes of every packet that programs of this host send into a TUN
 * interface that takes all they send: each flow goes the way that was decided for
 * it, and nothing passes before. Bytes and time in, bytes and verdicts out.
 *
 * With `direct: "passed"` there is no such interface: packets are captured on
 * their way, in both directions, and those of direct flows go on ({@linkcode
 * FlowPassing}). What comes from the network has no peer, what programs send has
 * {@linkcode HOST}.
 *
 *     fromHost     parse ->
 *                    groups, broadcast, link-local       Drop
 *                    TCP of the relay                    back to the program (ToHost)
 *                    fragments                           Held until whole
 *                    a new flow                          Held, and asked about
 *                    a flow that waits                   Held
 *                    a flow with a verdict
 *                      Drop                              Drop, and the program hears of it
 *                      Direct, Proxy: TCP                TcpRelay: ToHost, ToRelay, Held
 *                      Direct: UDP, echo                 Outbound: ToUdp, ToEcho
 *                      Proxy: UDP                        ToRelayUdp
 *                      Packet                            PacketWays: ToTunnel
 *     settle       a verdict, the first or another one
 *     fromOutside  of the direct way                     Inbound -> ToHost
 *     fromTunnel   of a packet tunnel                    PacketWays -> ToHost
 *
 * The parts are the gateway's and the TUN stack's. There is one client, the host
 * itself: it is peer {@linkcode HOST}. One thread has it all; rows of TCP may be
 * super-packets with partial checksums.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { Way } from "../flow/flow_table.ts";
import { Destinations } from "../route/destination.ts";
import { PrefixList } from "../route/prefix_list.ts";
import { equalWords } from "../wire/address.ts";
import { FragmentKind } from "../wire/packet_view.ts";
import { updateTransport } from "../wire/transport_checksum.ts";
import { Protocol } from "../wire/protocol.ts";
import { isEchoRequest } from "./echo_answer.ts";
import { FlowArrivals } from "./flow_arrivals.ts";
import { FlowEndings } from "./flow_endings.ts";
import { FlowPassing } from "./flow_passing.ts";
import { FlowReturns } from "./flow_returns.ts";
import { FlowRoutes } from "./flow_routes.ts";
import { FragmentGate } from "./fragment_gate.ts";
import type { Inbound } from "./inbound.ts";
import type { SendFailure } from "./outside_error.ts";
import type { PacketWay } from "./packet_ways.ts";
import { readRow } from "./read_row.ts";
import {
  DIRECT,
  makeSplitParts,
  type SplitParts,
  type SplitTunnelOptions,
} from "./split_parts.ts";
import type { TcpRelay } from "./tcp_relay.ts";
import { classOf, HOST, isNoise, toHost } from "./tun_stack_parts.ts";

export type {
  FlowListener,
  SplitRelayCommands,
  SplitTunnelOptions,
} from "./split_parts.ts";
export { HOST } from "./tun_stack_parts.ts";

/** Rows that are left for what stages append. */
const SPARE_ROWS = 64;

/** See the module header. */
export class SplitTunnel {
  /** What becomes of TCP that the relay ends; whoever dispatches tells it of SYNs that found no room. */
  readonly tcp: TcpRelay;
  readonly #parts: SplitParts;
  readonly #arrivals: FlowArrivals;
  readonly #returns: FlowReturns;
  readonly #endings: FlowEndings;
  readonly #passing: FlowPassing | undefined;
  readonly #relayPrefixes: PrefixList;
  readonly #destinations: Destinations;
  readonly #fragments: FragmentGate;
  #now = 0;

  constructor(options: SplitTunnelOptions) {
    const { gateway } = options.config;
    const { relay, fragmentSlots: slots } = gateway;
    const parts = makeSplitParts(options);
    this.#returns = new FlowReturns(parts);
    this.#passing = options.config.direct === "passed"
      ? new FlowPassing(parts, this.#returns)
      : undefined;
    const routes = new FlowRoutes(parts, this.#passing);
    this.tcp = parts.tcp;
    this.#parts = parts;
    this.#endings = new FlowEndings(parts);
    const endings = this.#endings;
    this.#arrivals = new FlowArrivals(parts, { routes, endings });
    this.#relayPrefixes = new PrefixList(
      [relay?.ipv4, relay?.ipv6].flatMap((end) => end?.address ?? []),
    );
    this.#destinations = new Destinations(gateway);
    this.#fragments = new FragmentGate({ slots, slotsPerPeer: slots });
  }

  /** Decides every row: packets that were read from the interface. */
  fromHost(batch: Batch, now: number): void {
    const { view, counters } = this.#parts;
    this.#now = now;
    const count = batch.count;
    this.#fragments.expire(batch, now);
    this.#returns.expire(batch, now);
    this.#passing?.expire(batch, now);
    for (let row = 0; row < count; row++) {
      const length = batch.length[row];
      if (this.#passing === undefined) batch.peer[row] = HOST;
      if (batch.peer[row] === HOST) this.#decide(batch, row, now, false);
      else this.#fromNetwork(batch, row, now);
      const verdict = batch.verdict[row] as Verdict;
      counters.count(classOf(view.protocol), verdict, length);
    }
    toHost(batch);
  }

  /** Whether packets wait whose flows have been decided meanwhile. */
  get hasReleased(): boolean {
    return this.#parts.held.isReady;
  }

  /** Brings packets whose flows have been decided into a batch, and decides them. */
  fromHeld(batch: Batch, now: number): void {
    this.#now = now;
    const { held, flows, config } = this.#parts;
    const last = batch.capacity - SPARE_ROWS;
    while (batch.count < last) {
      const row = held.next(batch, HOST);
      if (row < 0) break;
      if (flows.has(held.flow, held.generation)) {
        // Longer than the interface lets through: it came in pieces.
        const isWhole = batch.length[row] > config.gateway.mtu;
        this.#decide(batch, row, now, isWhole);
      } else batch.drop(row, DropReason.RuleTimeout);
    }
    toHost(batch);
  }

  /** Decides every undecided row: payloads that the socket of NAT row `target` received. */
  fromOutside(batch: Batch, now: number): void {
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      if (batch.verdict[row] !== Verdict.Undecided) continue;
      this.#returns.fromOutside(batch, row, now);
    }
    toHost(batch);
  }

  /** A report from the error queue of the socket of a NAT row; appends what the program is told. */
  fromOutsideError(
    batch: Batch,
    natRow: number,
    error: Parameters<Inbound["error"]>[2],
    now: number,
  ): void {
    this.#parts.inbound.error(batch, natRow, error, now);
    toHost(batch);
  }

  /** Decides every undecided row: packets that peers (`batch.peer`) of a packet tunnel sent. */
  fromTunnel(batch: Batch, outbound: number, now: number): void {
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      if (batch.verdict[row] !== Verdict.Undecided) continue;
      this.#returns.fromTunnel(batch, row, outbound, now);
    }
    this.#passing?.fitHost(batch);
  }

  /** A ToUdp or ToEcho row could not be sent: as {@linkcode Gateway.sendFailed}. */
  sendFailed(
    batch: Batch,
    row: number,
    failure: SendFailure,
    mtu: number,
  ): void {
    const { outbound } = this.#parts;
    outbound.sendFailed(batch, row, failure, mtu, this.#now);
    toHost(batch);
  }

  /**
   * Takes a verdict. A connection whose way changes is ended: its program hears
   * of it by an appended RST; other flows go the new way with their next packet.
   * @param to where it is really sent: words from index `i`
   * @returns false where the row has another flow by now
   */
  settle(
    batch: Batch,
    row: number,
    generation: number,
    way: Way,
    outbound: number,
    rule: number,
    to: Int32Array,
    i: number,
    toPort: number,
    now: number,
  ): boolean {
    const { flows, held } = this.#parts;
    if (!flows.has(row, generation)) return false;
    const before = flows.wayOf(row);
    const isSame = before === way && flows.outbound[row] === outbound &&
      flows.toPort[row] === toPort && equalWords(flows.to, row * 4, to, i);
    if (isSame) {
      flows.rule[row] = rule;
      return true;
    }
    const isConnection = flows.protocol[row] === Protocol.Tcp;
    if (isConnection && before !== Way.Waiting && before !== Way.Drop) {
      this.#endings.end(batch, row, now);
      return true;
    }
    flows.settle(row, way, outbound, rule, to, i, toPort);
    held.release(row);
    return true;
  }

  /** Ends a flow: a connection's program hears of it, of another one the rules are asked again. */
  endFlow(batch: Batch, row: number, generation: number, now: number): void {
    if (!this.#parts.flows.has(row, generation)) return;
    this.#endings.end(batch, row, now);
  }

  /**
   * Gives an outbound a packet tunnel, with the port of its own socket.
   * Whatever the outbound had is detached before.
   */
  attach(outbound: number, way: PacketWay, ownPort: number): void {
    this.#parts.ways.set(outbound, way);
    this.#parts.ownPorts[outbound] = ownPort;
  }

  /** Takes an outbound away: its flows end. */
  detach(batch: Batch, outbound: number, now: number): void {
    this.#endings.endAll(batch, outbound, now);
    this.#parts.ways.set(outbound, undefined);
    this.#parts.ownPorts[outbound] = 0;
  }

  /** The sockets of the direct way are no longer right: its flows begin anew. */
  resetDirect(batch: Batch, now: number): void {
    // What is passed has none of ours.
    if (this.#passing !== undefined) return;
    this.#parts.mapper.removePeer(HOST);
    this.#endings.endAll(batch, DIRECT, now);
  }

  /** The network has changed: what the relay ends is over, so is what waits; mappings are made anew. */
  reset(batch: Batch, now: number): void {
    const { flows, mapper, commands } = this.#parts;
    mapper.removePeer(HOST);
    for (let row = 0; row < flows.highWater; row++) {
      const way = flows.wayOf(row);
      if (way === Way.Proxy || way === Way.Waiting) {
        this.#endings.end(batch, row, now);
      }
    }
    commands.flush();
  }

  /** Ends what is over or idle, a bounded number of rows a call. About once a second. */
  tick(batch: Batch, now: number): void {
    this.#parts.mapper.sweep(now);
    this.tcp.tick(now);
    this.#endings.tick(batch, now);
  }

  #decide(batch: Batch, row: number, now: number, isWhole: boolean): void {
    const { view } = this.#parts;
    if (!readRow(batch, row, view)) return;
    if (isNoise(view, this.#destinations)) {
      return batch.drop(row, DropReason.Multicast);
    }
    if (this.tcp.isFromRelay(batch.bytes, view.at)) {
      // An adapter may have been left to compute it.
      if (this.#passing !== undefined) {
        updateTransport(batch.bytes, view, this.#parts.sum);
      }
      return this.#returns.fromRelay(batch, row, now);
    }
    if (this.#relayPrefixes.contains(view.destinationWords, 0)) {
      return batch.drop(row, DropReason.RelayAddress);
    }
    if (view.fragment !== FragmentKind.None) {
      return this.#fragment(batch, row, now);
    }
    switch (view.protocol) {
      case Protocol.Tcp:
        return this.#arrivals.connection(batch, row, now);
      case Protocol.Udp:
        return this.#arrivals.datagram(batch, row, now, isWhole);
      case Protocol.Icmp:
      case Protocol.Icmpv6:
        if (!isEchoRequest(view)) break;
        return this.#arrivals.datagram(batch, row, now, isWhole);
    }
    batch.drop(row, DropReason.ProtocolNotForwarded);
  }

  /** A row that came from the network: only what direct flows have asked for. */
  #fromNetwork(batch: Batch, row: number, now: number): void {
    const { view } = this.#parts;
    if (!readRow(batch, row, view)) return;
    if (
      this.#relayPrefixes.contains(view.sourceWords, 0) ||
      this.#relayPrefixes.contains(view.destinationWords, 0)
    ) return batch.drop(row, DropReason.RelayAddress);
    this.#passing!.fromNetwork(batch, row, now);
  }

  #fragment(batch: Batch, row: number, now: number): void {
    const { view, config } = this.#parts;
    if (
      config.fragments === "drop" || view.protocol === Protocol.Tcp
    ) return batch.drop(row, DropReason.ProtocolNotForwarded);
    const whole = this.#fragments.add(batch, row, view, now);
    if (whole >= 0) this.#decide(batch, whole, now, true);
  }
}
