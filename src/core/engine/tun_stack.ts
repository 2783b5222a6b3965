/**
 * What becomes of every packet that programs of this host send into a TUN
 * interface: TCP goes by the system's own stack to the relay, UDP and echo to
 * the outside. Bytes and time in, bytes and verdicts out.
 *
 *     fromHost     parse ->
 *                    groups, broadcast, link-local   Drop
 *                    TCP of the relay                back to the program (ToHost)
 *                    TCP of programs                 TcpRelay: ToHost, ToRelay, Held
 *                    fragments                       Held until whole
 *                    echo                            answered here, or Outbound
 *                    UDP                             Outbound, or ToRelay
 *                    anything else                   Drop
 *     fromOutside  the mapping of the socket         Inbound -> ToHost
 *
 * The parts are the gateway's. There is one client, the host itself: it is peer
 * {@linkcode HOST}, and what the parts send ToPeer goes ToHost. One thread has it
 * all; the rows of TCP may be super-packets with partial checksums.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import type { VerdictCounters } from "../columns/verdict_counters.ts";
import { Mapper } from "../flow/mapper.ts";
import type { NatTable, OutsideSockets } from "../flow/nat.ts";
import type { RedirectTable } from "../flow/redirect_table.ts";
import { PrefixList } from "../route/prefix_list.ts";
import { Destinations } from "../route/destination.ts";
import { ChecksumForm, type Sum, sum } from "../wire/checksum.ts";
import { FragmentKind, PacketView } from "../wire/packet_view.ts";
import { verifyTransport } from "../wire/transport_checksum.ts";
import { Protocol } from "../wire/protocol.ts";
import { answerEcho, isEchoRequest } from "./echo_answer.ts";
import { ErrorReplies } from "./error_replies.ts";
import { ForeignEchoes } from "./foreign_echoes.ts";
import { FragmentGate } from "./fragment_gate.ts";
import type { GatewayConfig } from "./gateway_config.ts";
import { Inbound } from "./inbound.ts";
import { LiveMappings } from "./live_mappings.ts";
import { isIcmp, Outbound } from "./outbound.ts";
import type { OutsideError, SendFailure } from "./outside_error.ts";
import { PeerDelivery } from "./peer_delivery.ts";
import { readRow } from "./read_row.ts";
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

/** What a TUN stack does, as plain data. */
export interface TunStackConfig {
  /**
   * Limits and timers as the gateway has them, and the relay. Its addresses are
   * those that ICMP errors come from: none of the host's own, which would not
   * take them. Its subnets are the interface's, whose broadcasts go nowhere.
   */
  readonly gateway: GatewayConfig;
  /** UDP by sockets of its own, or by the relay worker. */
  readonly udp: "sockets" | "relay";
  /** Echo requests are answered here, whatever their destination, or sent out. */
  readonly echo: "answer" | "forward";
}

/** What a TUN stack works on. */
export interface TunStackOptions {
  readonly config: TunStackConfig;
  readonly redirects: RedirectTable;
  /** The way to the relay worker. */
  readonly commands: RelayCommands;
  readonly nat: NatTable;
  readonly sockets: OutsideSockets;
  /** Counts what was read. */
  readonly counters: VerdictCounters;
  /** How payloads are added up for their checksums. */
  readonly sum?: Sum;
}

/** See the module header. */
export class TunStack {
  readonly #config: TunStackConfig;
  /** What becomes of TCP; whoever dispatches tells it of SYNs that found no room. */
  readonly tcp: TcpRelay;
  readonly #nat: NatTable;
  readonly #counters: VerdictCounters;
  readonly #sum: Sum;
  readonly #relayPrefixes: PrefixList;
  readonly #destinations: Destinations;
  readonly #fragments: FragmentGate;
  readonly #sockets: ForeignEchoes;
  readonly #mapper: Mapper;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #view = new PacketView();
  #now = 0;

  constructor(options: TunStackOptions) {
    const { nat, counters, redirects: table, commands } = options;
    const config = options.config.gateway;
    const { relay, mtu } = config;
    if (relay === undefined) throw new TypeError("a TUN stack needs a relay");
    const add = options.sum ?? sum;
    const errors = new ErrorReplies(config);
    const delivery = new PeerDelivery(LONGEST, errors);
    const live = new LiveMappings(nat, everything(), config);
    this.#config = options.config;
    this.tcp = new TcpRelay({
      config: relay,
      mtu,
      table,
      commands,
      clients: "host",
      sum: add,
    });
    this.#nat = nat;
    this.#counters = counters;
    this.#sum = add;
    this.#relayPrefixes = new PrefixList(
      [relay.ipv4, relay.ipv6].flatMap((end) => end?.address ?? []),
    );
    this.#destinations = new Destinations(config);
    this.#fragments = new FragmentGate({
      slots: config.fragmentSlots,
      slotsPerPeer: config.fragmentSlots,
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
  }

  /** Decides every row: packets that were read from the interface. */
  fromHost(batch: Batch, now: number): void {
    this.#now = now;
    const count = batch.count;
    this.#fragments.expire(batch, now);
    for (let row = 0; row < count; row++) {
      const length = batch.length[row];
      batch.peer[row] = HOST;
      this.#decide(batch, row, now, false);
      this.#count(this.#view.protocol, batch.verdict[row], length);
    }
    toHost(batch);
  }

  /**
   * Decides every undecided row: payloads that the socket of NAT row `target`
   * received, as {@linkcode Gateway.fromOutside} takes them.
   */
  fromOutside(batch: Batch, now: number): void {
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      if (batch.verdict[row] !== Verdict.Undecided) continue;
      const target = batch.target[row];
      const length = batch.length[row];
      this.#inbound.decide(batch, row, now);
      const protocol = target < 0 ? Protocol.Icmp : this.#nat.protocol[target];
      this.#count(protocol, batch.verdict[row], length);
    }
    toHost(batch);
  }

  /** A report from the error queue of the socket of a NAT row; appends what the program is told. */
  fromOutsideError(
    batch: Batch,
    natRow: number,
    error: OutsideError,
    now: number,
  ): void {
    this.#inbound.error(batch, natRow, error, now);
    toHost(batch);
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

  /** Ends what is idle, a bounded number of rows a call. About once a second. */
  tick(now: number): void {
    this.#mapper.sweep(now);
    this.tcp.tick(now);
  }

  #decide(batch: Batch, row: number, now: number, reassembled: boolean): void {
    const view = this.#view;
    if (!readRow(batch, row, view)) return;
    if (isNoise(view, this.#destinations)) {
      return batch.drop(row, DropReason.Multicast);
    }
    if (this.tcp.isFromRelay(batch.bytes, view.at)) {
      return this.#fromRelay(batch, row, now);
    }
    if (this.#relayPrefixes.contains(view.destinationWords, 0)) {
      return batch.drop(row, DropReason.RelayAddress);
    }
    if (view.protocol === Protocol.Tcp) return this.#toRelay(batch, row, now);
    const isOurs = view.protocol === Protocol.Udp || isIcmp(view);
    if (isOurs && view.fragment !== FragmentKind.None) {
      const whole = this.#fragments.add(batch, row, view, now);
      if (whole >= 0) this.#decide(batch, whole, now, true);
    } else if (isEchoRequest(view) && this.#config.echo === "answer") {
      this.#answer(batch, row);
    } else if (
      view.protocol === Protocol.Udp && this.#config.udp === "relay"
    ) this.#relay(batch, row);
    else {
      this.#sockets.own = view.identifier;
      this.#outbound.decide(batch, row, view, now, reassembled);
    }
  }

  #count(protocol: number, verdict: number, bytes: number): void {
    this.#counters.count(classOf(protocol), verdict as Verdict, bytes);
  }

  #fromRelay(batch: Batch, row: number, now: number): void {
    const form = batch.partial[row] as ChecksumForm;
    const redirect = this.tcp.fromRelay(batch, row, now, form);
    if (redirect >= 0) batch.decide(row, Verdict.ToPeer, HOST);
  }

  #toRelay(batch: Batch, row: number, now: number): void {
    const view = this.#view;
    const form = batch.partial[row] as ChecksumForm;
    // Of headers that move, the device's own one would say what is wrong.
    const isMoved = form === ChecksumForm.Partial && !isPlain(view);
    if (isMoved || !this.tcp.serves(view.version)) {
      return batch.drop(row, DropReason.ProtocolNotForwarded);
    }
    this.tcp.fromClient(batch, row, view, now, form);
  }

  #answer(batch: Batch, row: number): void {
    const view = this.#view;
    const reason = verifyTransport(batch.bytes, view, this.#sum);
    if (reason !== DropReason.None) return batch.drop(row, reason);
    answerEcho(batch, row, view);
    batch.decide(row, Verdict.ToPeer, HOST);
  }

  #relay(batch: Batch, row: number): void {
    const reason = verifyTransport(batch.bytes, this.#view, this.#sum);
    if (reason !== DropReason.None) batch.drop(row, reason);
    else batch.decide(row, Verdict.ToRelayUdp, 0);
  }
}
