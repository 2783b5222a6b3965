/**
 * What becomes of every packet that programs of this host send into a TUN
 * interface that takes all they send: each flow goes the way that was decided for
 * it, and nothing passes before. Bytes and time in, bytes and verdicts out.
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
import type { VerdictCounters } from "../columns/verdict_counters.ts";
import { emitFlowReset, FLOW_RESET_LENGTH } from "../flow/flow_reset.ts";
import { type FlowTable, FREE, Way } from "../flow/flow_table.ts";
import { HeldPackets } from "../flow/held_packets.ts";
import { Mapper } from "../flow/mapper.ts";
import type { NatTable, OutsideSockets } from "../flow/nat.ts";
import type { RedirectTable } from "../flow/redirect_table.ts";
import { Destinations } from "../route/destination.ts";
import { PrefixList } from "../route/prefix_list.ts";
import { equalWords } from "../wire/address.ts";
import { ChecksumForm, type Sum, sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import {
  FragmentKind,
  PacketView,
  parsePacket,
  pseudoHeader,
  verifyTransport,
} from "../wire/packet.ts";
import { Protocol } from "../wire/protocol.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";
import { isEchoRequest } from "./echo_answer.ts";
import { ErrorKind, ErrorReplies } from "./error_replies.ts";
import { FlowLife } from "./flow_life.ts";
import { ForeignEchoes } from "./foreign_echoes.ts";
import { FragmentGate } from "./fragment_gate.ts";
import { Inbound } from "./inbound.ts";
import { LiveMappings } from "./live_mappings.ts";
import { Outbound } from "./outbound.ts";
import type { SendFailure } from "./outside_error.ts";
import { type PacketWay, PacketWays } from "./packet_ways.ts";
import { PeerDelivery } from "./peer_delivery.ts";
import type { SplitTunnelConfig } from "./split_tunnel_config.ts";
import { type RelayCommands, TcpRelay } from "./tcp_relay.ts";
import {
  classOf,
  everything,
  HOST,
  isNoise,
  isPlain,
  LONGEST,
  toHost,
} from "./tun_stack_parts.ts";

export { HOST } from "./tun_stack_parts.ts";

/** Whom a split tunnel tells of its flows: the control thread. */
export interface FlowListener {
  /** A new flow waits; `batchRow` is its first packet. @returns false where that can't be told now */
  ask(
    flow: number,
    generation: number,
    batch: Batch,
    batchRow: number,
  ): boolean;
  /** A flow is over. */
  ended(flow: number, generation: number): void;
  /** The payload of a datagram from port 53 for a flow. */
  dnsAnswer(
    flow: number,
    generation: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void;
}

/** The way to the relay worker, besides Verdict.ToRelay and ToRelayUdp. */
export interface SplitRelayCommands extends RelayCommands {
  /**
   * Says that a connection is over at once: what its program has sent goes
   * nowhere any more (RelayMessage.End, RelayMessage.Vanish).
   * @param outside whether the other end hears of it by a RST
   * @returns false where there is no room
   */
  end(row: number, generation: number, outside: "reset" | "silent"): boolean;
}

/** What a split tunnel works on. */
export interface SplitTunnelOptions {
  readonly config: SplitTunnelConfig;
  readonly flows: FlowTable;
  /** Ways out have numbers below this. */
  readonly outbounds: number;
  readonly listener: FlowListener;
  readonly redirects: RedirectTable;
  /** The way to the relay worker. */
  readonly commands: SplitRelayCommands;
  readonly nat: NatTable;
  readonly sockets: OutsideSockets;
  /** Counts what was read. */
  readonly counters: VerdictCounters;
  /** How payloads are added up for their checksums. */
  readonly sum?: Sum;
}

const SYN_BITS = tcp.Flag.Syn | tcp.Flag.Ack | tcp.Flag.Rst | tcp.Flag.Fin;
const DNS_PORT = 53;
const DIRECT = 0;
/** Flows that one tick looks at. */
const SWEPT_FLOWS = 8192;
/** Rows that are left for what stages append. */
const SPARE_ROWS = 64;
/** Owners of fragments from tunnels: each outbound's. */
const NOBODY = -1;

/** See the module header. */
export class SplitTunnel {
  /** What becomes of TCP that the relay ends; whoever dispatches tells it of SYNs that found no room. */
  readonly tcp: TcpRelay;
  readonly #options: SplitTunnelOptions;
  readonly #config: SplitTunnelConfig;
  readonly #flows: FlowTable;
  readonly #nat: NatTable;
  readonly #redirects: RedirectTable;
  readonly #listener: FlowListener;
  readonly #sum: Sum;
  readonly #held: HeldPackets;
  readonly #life: FlowLife;
  readonly #ways: PacketWays;
  readonly #errors: ErrorReplies;
  readonly #relayPrefixes: PrefixList;
  readonly #destinations: Destinations;
  readonly #fragments: FragmentGate;
  readonly #tunnelFragments: FragmentGate;
  readonly #sockets: ForeignEchoes;
  readonly #mapper: Mapper;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  /** By redirect row: the flow whose connection it is, or -1. */
  readonly #flowOf: Int32Array;
  /** Ports of tunnel sockets of our own; 0 for none. */
  readonly #ownPorts: Int32Array;
  readonly #view = new PacketView();
  #now = 0;

  constructor(options: SplitTunnelOptions) {
    const { nat, redirects, flows, commands, outbounds } = options;
    const config = options.config.gateway;
    const { relay, mtu } = config;
    if (relay === undefined) {
      throw new TypeError("a split tunnel needs a relay");
    }
    const add = options.sum ?? sum;
    this.#options = options;
    this.#config = options.config;
    this.#flows = flows;
    this.#nat = nat;
    this.#redirects = redirects;
    this.#listener = options.listener;
    this.#sum = add;
    this.#errors = new ErrorReplies(config);
    const errors = this.#errors;
    const delivery = new PeerDelivery(LONGEST, errors);
    const live = new LiveMappings(nat, everything(), config);
    this.tcp = new TcpRelay({
      config: relay,
      mtu,
      table: redirects,
      commands,
      clients: "host",
      sum: add,
    });
    this.#held = new HeldPackets({
      flows: flows.capacity,
      ...options.config.held,
    });
    this.#life = new FlowLife(flows, redirects, options.config);
    this.#ways = new PacketWays(flows, outbounds, add);
    this.#relayPrefixes = new PrefixList(
      [relay.ipv4, relay.ipv6].flatMap((end) => end?.address ?? []),
    );
    this.#destinations = new Destinations(config);
    const slots = config.fragmentSlots;
    this.#fragments = new FragmentGate({ slots, slotsPerPeer: slots });
    this.#tunnelFragments = new FragmentGate({
      slots,
      slotsPerPeer: config.fragmentSlotsPerPeer,
    });
    this.#sockets = new ForeignEchoes(options.sockets);
    this.#mapper = new Mapper(nat, this.#sockets, config);
    this.#outbound = new Outbound({
      config,
      nat,
      live,
      mapper: this.#mapper,
      errors,
      delivery,
      sum: add,
    });
    this.#inbound = new Inbound({ config, nat, live, delivery, sum: add });
    this.#flowOf = new Int32Array(redirects.capacity).fill(-1);
    this.#ownPorts = new Int32Array(outbounds);
  }

  /** Decides every row: packets that were read from the interface. */
  fromHost(batch: Batch, now: number): void {
    this.#now = now;
    const count = batch.count;
    this.#fragments.expire(batch, now);
    this.#tunnelFragments.expire(batch, now);
    for (let row = 0; row < count; row++) {
      const length = batch.length[row];
      batch.peer[row] = HOST;
      this.#decide(batch, row, now, false);
      this.#count(this.#view.protocol, batch.verdict[row], length);
    }
    toHost(batch);
  }

  /** Whether packets wait whose flows have been decided meanwhile. */
  get hasReleased(): boolean {
    return this.#held.isReady;
  }

  /** Brings packets whose flows have been decided into a batch, and decides them. */
  fromHeld(batch: Batch, now: number): void {
    this.#now = now;
    const held = this.#held;
    const last = batch.capacity - SPARE_ROWS;
    while (batch.count < last) {
      const row = held.next(batch, HOST);
      if (row < 0) break;
      if (this.#flows.has(held.flow, held.generation)) {
        this.#decide(batch, row, now, false);
      } else batch.drop(row, DropReason.RuleTimeout);
    }
    toHost(batch);
  }

  /** Decides every undecided row: payloads that the socket of NAT row `target` received. */
  fromOutside(batch: Batch, now: number): void {
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      if (batch.verdict[row] !== Verdict.Undecided) continue;
      this.#fromOutside(batch, row, now);
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
    this.#inbound.error(batch, natRow, error, now);
    toHost(batch);
  }

  /** Decides every undecided row: packets that peers (`batch.peer`) of a packet tunnel sent. */
  fromTunnel(batch: Batch, outbound: number, now: number): void {
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      if (batch.verdict[row] !== Verdict.Undecided) continue;
      this.#fromTunnel(batch, row, outbound, now);
    }
  }

  /** A ToUdp or ToEcho row could not be sent: as {@linkcode Gateway.sendFailed}. */
  sendFailed(
    batch: Batch,
    row: number,
    failure: SendFailure,
    mtu: number,
  ): void {
    this.#outbound.sendFailed(batch, row, failure, mtu, this.#now);
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
    const flows = this.#flows;
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
      this.#end(batch, row, now);
      return true;
    }
    flows.settle(row, way, outbound, rule, to, i, toPort);
    this.#held.release(row);
    return true;
  }

  /** Ends a flow: a connection's program hears of it, of another one the rules are asked again. */
  endFlow(batch: Batch, row: number, generation: number, now: number): void {
    if (this.#flows.has(row, generation)) this.#end(batch, row, now);
  }

  /**
   * Gives an outbound a packet tunnel, with the port of its own socket.
   * Whatever the outbound had is detached before.
   */
  attach(outbound: number, way: PacketWay, ownPort: number): void {
    this.#ways.set(outbound, way);
    this.#ownPorts[outbound] = ownPort;
  }

  /** Takes an outbound away: its flows end. */
  detach(batch: Batch, outbound: number, now: number): void {
    this.#endAll(batch, outbound, now);
    this.#ways.set(outbound, undefined);
    this.#ownPorts[outbound] = 0;
  }

  /** The sockets of the direct way are no longer right: its flows begin anew. */
  resetDirect(batch: Batch, now: number): void {
    this.#mapper.removePeer(HOST);
    this.#endAll(batch, DIRECT, now);
  }

  /** The network has changed: what the relay ends is over, so is what waits; mappings are made anew. */
  reset(batch: Batch, now: number): void {
    const flows = this.#flows;
    this.#mapper.removePeer(HOST);
    for (let row = 0; row < flows.highWater; row++) {
      const way = flows.wayOf(row);
      if (way === Way.Proxy || way === Way.Waiting) this.#end(batch, row, now);
    }
    this.#options.commands.flush();
  }

  /** Ends what is over or idle, a bounded number of rows a call. About once a second. */
  tick(batch: Batch, now: number): void {
    this.#mapper.sweep(now);
    this.tcp.tick(now);
    const flows = this.#flows;
    const held = this.#held;
    const before = now - this.#config.heldMs;
    for (let row = held.overdue(before); row >= 0;) {
      this.#giveUp(batch, row);
      row = held.overdue(before);
    }
    const count = Math.min(SWEPT_FLOWS, flows.highWater);
    for (let n = 0; n < count; n++) {
      const row = flows.nextSwept();
      if (this.#life.isOver(row, now)) this.#release(row);
    }
  }

  #decide(batch: Batch, row: number, now: number, isWhole: boolean): void {
    const view = this.#view;
    const { bytes, offset, length } = batch;
    const reason = parsePacket(bytes, offset[row], length[row], view);
    if (reason !== DropReason.None) {
      view.protocol = Protocol.NoNextHeader;
      return batch.drop(row, reason);
    }
    length[row] = view.totalLength;
    if (isNoise(view, this.#destinations)) {
      return batch.drop(row, DropReason.Multicast);
    }
    if (this.tcp.isFromRelay(bytes, view.at)) {
      return this.#fromRelay(batch, row, now);
    }
    if (this.#relayPrefixes.contains(view.destinationWords, 0)) {
      return batch.drop(row, DropReason.RelayAddress);
    }
    if (view.fragment !== FragmentKind.None) {
      return this.#fragment(batch, row, now);
    }
    switch (view.protocol) {
      case Protocol.Tcp:
        return this.#connection(batch, row, now);
      case Protocol.Udp:
        return this.#datagram(batch, row, now, isWhole);
      case Protocol.Icmp:
      case Protocol.Icmpv6:
        if (!isEchoRequest(view)) break;
        return this.#datagram(batch, row, now, isWhole);
    }
    batch.drop(row, DropReason.ProtocolNotForwarded);
  }

  #fragment(batch: Batch, row: number, now: number): void {
    const view = this.#view;
    if (
      this.#config.fragments === "drop" || view.protocol === Protocol.Tcp
    ) return batch.drop(row, DropReason.ProtocolNotForwarded);
    const whole = this.#fragments.add(batch, row, view, now);
    if (whole >= 0) this.#decide(batch, whole, now, true);
  }

  /** A segment of a program's: a flow begins with a SYN alone. */
  #connection(batch: Batch, row: number, now: number): void {
    const view = this.#view;
    const flows = this.#flows;
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
        this.#drop(flow, now);
        flow = -1;
      } else if (flows.wayOf(flow) === Way.Waiting) {
        return batch.drop(row, DropReason.RuleWait);
      }
    }
    if (flow < 0) {
      if (isSyn) this.#begin(batch, row, 0, 0, now);
      else this.#stray(batch, row);
      return;
    }
    if (flows.wayOf(flow) === Way.Waiting) {
      return batch.drop(row, DropReason.RuleWait);
    }
    flows.progress.noteClient(flow, batch.bytes, payloadAt, payloadLength, now);
    this.#route(batch, row, flow, now, form, false);
  }

  /** A datagram or an echo request. */
  #datagram(batch: Batch, row: number, now: number, isWhole: boolean): void {
    const view = this.#view;
    const flows = this.#flows;
    if (view.protocol === Protocol.Udp && this.#isOwn(view.sourcePort)) {
      return batch.drop(row, DropReason.OwnSocket);
    }
    const isUdp = view.protocol === Protocol.Udp;
    const localPort = isUdp ? view.sourcePort : view.identifier;
    const remotePort = isUdp ? view.destinationPort : 0;
    const flow = this.#lookup(localPort, remotePort);
    if (flow < 0) return this.#begin(batch, row, localPort, remotePort, now);
    if (flows.wayOf(flow) !== Way.Waiting) {
      return this.#route(
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
      this.#held.add(flow, generation, bytes, at, length[row], now)
    ) batch.decide(row, Verdict.Held, 0);
    else batch.drop(row, DropReason.HeldFull);
  }

  #lookup(localPort: number, remotePort: number): number {
    const { protocol, sourceWords, destinationWords } = this.#view;
    return this.#flows.lookup(
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
    const view = this.#view;
    const flows = this.#flows;
    const { bytes } = batch;
    const { payloadAt, payloadLength } = view;
    const isTcp = view.protocol === Protocol.Tcp;
    if (batch.partial[row] === ChecksumForm.Partial) {
      const pseudo = pseudoHeader(bytes, view, payloadLength);
      tcp.updateChecksum(bytes, payloadAt, payloadLength, pseudo);
      batch.partial[row] = ChecksumForm.Whole;
    } else {
      const reason = verifyTransport(bytes, view, this.#sum);
      if (reason !== DropReason.None) return batch.drop(row, reason);
    }
    if (flows.waiting >= this.#config.maxWaiting) {
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
      !this.#held.add(flow, generation, bytes, at, view.totalLength, now)
    ) {
      flows.release(flow);
      batch.drop(row, DropReason.HeldFull);
    } else if (!this.#listener.ask(flow, generation, batch, row)) {
      this.#held.forget(flow);
      flows.release(flow);
      batch.drop(row, DropReason.ControlQueueFull);
    } else batch.decide(row, Verdict.Held, 0);
  }

  /** Sends a packet the way that was decided for its flow. */
  #route(
    batch: Batch,
    row: number,
    flow: number,
    now: number,
    form: ChecksumForm,
    isWhole: boolean,
  ): void {
    const view = this.#view;
    const flows = this.#flows;
    flows.noteSent(flow, view.totalLength, now);
    switch (flows.wayOf(flow)) {
      case Way.Direct:
        return view.protocol === Protocol.Tcp
          ? this.#terminate(batch, row, flow, now, form)
          : this.#direct(batch, row, flow, now, isWhole);
      case Way.Proxy:
        if (view.protocol === Protocol.Tcp) {
          return this.#terminate(batch, row, flow, now, form);
        }
        if (view.protocol === Protocol.Udp) {
          this.#linkLocally(flow);
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
    const view = this.#view;
    const flows = this.#flows;
    if (!this.tcp.serves(view.version)) {
      return this.#refuse(batch, row, DropReason.NotCarried, now);
    }
    this.tcp.fromClient(batch, row, view, now, form);
    if (batch.verdict[row] !== Verdict.ToRelay) return;
    const redirect = batch.target[row];
    const { outbound, to, toPort } = flows;
    this.#redirects.route(redirect, outbound[flow], to, flow * 4, toPort[flow]);
    flows.redirect[flow] = redirect + 1;
    this.#flowOf[redirect] = flow;
  }

  /** UDP and echo by sockets of our own. */
  #direct(
    batch: Batch,
    row: number,
    flow: number,
    now: number,
    isWhole: boolean,
  ): void {
    const view = this.#view;
    const flows = this.#flows;
    this.#linkLocally(flow);
    this.#sockets.own = view.identifier;
    this.#outbound.decide(batch, row, view, now, isWhole);
    const verdict = batch.verdict[row];
    if (verdict !== Verdict.ToUdp && verdict !== Verdict.ToEcho) return;
    for (let word = 0; word < 4; word++) {
      batch.remote[row * 4 + word] = flows.to[flow * 4 + word];
    }
    batch.remotePort[row] = flows.toPort[flow];
  }

  /** Lets a flow whose end outside is a socket's be found by its program's own end. */
  #linkLocally(flow: number): void {
    const flows = this.#flows;
    if (flows.isLinked(flow)) return;
    // Where two flows of one socket have become the same, the first one hears the answers.
    flows.linkInbound(flow, flows.local, flow * 4, flows.localPort[flow]);
  }

  #toTunnel(
    batch: Batch,
    row: number,
    flow: number,
    now: number,
    form: ChecksumForm,
    isWhole: boolean,
  ): void {
    const view = this.#view;
    const mayFragment = isWhole ||
      (view.version === 4 && !ipv4.dontFragment(batch.bytes, view.at));
    const reason = this.#ways.toTunnel(
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
    const mtu = this.#ways.get(this.#flows.outbound[flow])?.mtu ?? 0;
    this.#errors.reply(batch, view, HOST, ErrorKind.TooBig, mtu, now);
  }

  /** Drops a row and tells its program so. */
  #refuse(batch: Batch, row: number, reason: DropReason, now: number): void {
    const view = this.#view;
    batch.drop(row, reason);
    if (this.#config.dropped === "silent") return;
    if (view.protocol === Protocol.Tcp) return this.#reset(batch, row);
    const kind = reason === DropReason.RuleDrop
      ? ErrorKind.Prohibited
      : ErrorKind.NetworkUnreachable;
    this.#errors.reply(batch, view, HOST, kind, 0, now);
  }

  /** A segment of no connection. */
  #stray(batch: Batch, row: number): void {
    batch.drop(row, DropReason.TcpNoConnection);
    this.#reset(batch, row);
  }

  /** Answers the segment in the view by a RST, in an appended row. */
  #reset(batch: Batch, row: number): void {
    const { bytes } = batch;
    const reset = batch.append(FLOW_RESET_LENGTH, batch.peer[row]);
    if (reset < 0) return;
    const at = batch.offset[reset];
    batch.length[reset] = tcp.emitReset(bytes, at, bytes, this.#view.at);
    const isDue = batch.length[reset] > 0;
    batch.decide(reset, isDue ? Verdict.ToHost : Verdict.Held, 0);
  }

  #fromRelay(batch: Batch, row: number, now: number): void {
    const form = batch.partial[row] as ChecksumForm;
    const flows = this.#flows;
    const view = this.#view;
    const redirect = this.tcp.fromRelay(batch, row, now, form);
    if (redirect < 0) return;
    batch.decide(row, Verdict.ToHost, 0);
    const flow = this.#flowOf[redirect];
    if (flow < 0 || flows.redirect[flow] !== redirect + 1) return;
    flows.noteReceived(flow, view.totalLength, now);
  }

  #fromOutside(batch: Batch, row: number, now: number): void {
    const flows = this.#flows;
    const nat = this.#nat;
    const { remote, remotePort } = batch;
    const natRow = this.#inbound.mappingOf(batch, row);
    const isUdp = natRow >= 0 && nat.protocol[natRow] === Protocol.Udp;
    const flow = natRow < 0 ? -1 : flows.lookupInbound(
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
    this.#inbound.decide(batch, row, now);
    this.#count(nat.protocol[natRow], batch.verdict[row], length);
    if (batch.verdict[row] === Verdict.Drop) return;
    flows.noteReceived(flow, length, now);
    this.#noteAnswer(flow, batch.bytes, at, length);
  }

  #fromTunnel(batch: Batch, row: number, outbound: number, now: number): void {
    const view = this.#view;
    const { bytes, offset, length } = batch;
    const reason = parsePacket(bytes, offset[row], length[row], view);
    if (reason !== DropReason.None) return batch.drop(row, reason);
    length[row] = view.totalLength;
    if (!this.#ways.isFromPeer(outbound, view, batch.peer[row])) {
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
    const view = this.#view;
    const flows = this.#flows;
    const { bytes } = batch;
    const flow = this.#ways.fromTunnel(batch, row, view, outbound);
    if (flow < 0) return;
    const { payloadAt, payloadLength, totalLength } = view;
    flows.noteReceived(flow, totalLength, now);
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
      this.#noteAnswer(flow, bytes, payloadAt + udp.HEADER_LENGTH, length);
    }
  }

  /** Shows the answers of resolvers. */
  #noteAnswer(flow: number, b: Uint8Array, at: number, length: number): void {
    const flows = this.#flows;
    if (
      flows.remotePort[flow] !== DNS_PORT ||
      flows.protocol[flow] !== Protocol.Udp
    ) return;
    const generation = flows.generationOf(flow);
    this.#listener.dnsAnswer(flow, generation, b, at, length);
  }

  /** Whether a port is one of our own tunnel sockets': what comes from there would go round in a circle. */
  #isOwn(port: number): boolean {
    const ports = this.#ownPorts;
    for (let n = 0; n < ports.length; n++) {
      if (ports[n] === port && port !== 0) return true;
    }
    return false;
  }

  /** Ends a flow, and tells its program where it has a connection. */
  #end(batch: Batch, row: number, now: number): void {
    const flows = this.#flows;
    const isConnection = flows.protocol[row] === Protocol.Tcp;
    if (isConnection && flows.wayOf(row) !== Way.Waiting) {
      const reset = batch.append(FLOW_RESET_LENGTH, HOST);
      if (reset >= 0) {
        const at = batch.offset[reset];
        batch.length[reset] = emitFlowReset(batch.bytes, at, flows, row);
        batch.decide(reset, Verdict.ToHost, 0);
      }
    }
    const redirect = flows.redirect[row] - 1;
    if (redirect >= 0 && this.#flowOf[redirect] === row) {
      const generation = this.#redirects.generationOf(redirect);
      // By the direct way even a RST would leave that may be forbidden now.
      const outside = flows.wayOf(row) === Way.Direct ? "silent" : "reset";
      this.#options.commands.end(redirect, generation, outside);
    }
    this.#drop(row, now);
  }

  /** Ends a flow and what the relay has of it. */
  #drop(row: number, now: number): void {
    const redirect = this.#flows.redirect[row] - 1;
    if (redirect >= 0 && this.#flowOf[redirect] === row) {
      this.tcp.abandon(redirect, now);
    }
    this.#release(row);
  }

  #endAll(batch: Batch, outbound: number, now: number): void {
    const flows = this.#flows;
    for (let row = 0; row < flows.highWater; row++) {
      const way = flows.wayOf(row);
      if (way === FREE || way === Way.Waiting || way === Way.Drop) continue;
      if (flows.outbound[row] === outbound) this.#end(batch, row, now);
    }
    this.#options.commands.flush();
  }

  /** Nobody has decided about a flow in time. */
  #giveUp(batch: Batch, flow: number): void {
    const count = this.#held.forget(flow);
    for (let left = count; left > 0; left--) {
      const row = batch.push(0, 0, NOBODY);
      if (row >= 0) batch.drop(row, DropReason.RuleTimeout);
    }
    this.#release(flow);
  }

  #release(row: number): void {
    const flows = this.#flows;
    const redirect = flows.redirect[row] - 1;
    if (redirect >= 0 && this.#flowOf[redirect] === row) {
      this.#flowOf[redirect] = -1;
    }
    this.#held.forget(row);
    this.#listener.ended(row, flows.generationOf(row));
    flows.release(row);
  }

  #count(protocol: number, verdict: number, bytes: number): void {
    this.#options.counters.count(
      classOf(protocol),
      verdict as Verdict,
      bytes,
    );
  }
}
