/**
 * The gateway: what becomes of every packet of its clients, its host and the
 * outside. Bytes and time in, bytes and verdicts out.
 *
 *     fromTunnel   parse -> source belongs to its peer -> destination:
 *                    nothing to forward to      Drop
 *                    the gateway itself         echo answered, DNS -> control, host
 *                    a host address outside     another client's mapping, else host
 *                    a peer                     ToPeer, one hop less
 *                    the VPN, but no peer       «host unreachable»
 *                    the relay                  Drop
 *                    anywhere else              Outbound: ICMP, UDP, TCP, other
 *     fromHost     source is the relay          TcpRelay: the connection's client -> ToPeer
 *                  destination's peer           ToPeer
 *     fromOutside  the mapping of the socket    Inbound: filter, translate -> ToPeer
 *
 * Two workers have one each over the same shared tables: the open worker calls
 * fromTunnel, sendFailed, dialFailed, tick and removePeer and is the writer of
 * the NAT's table and of the relay's; the seal
 * worker calls fromHost, fromOutside and fromOutsideError. Either may be several
 * threads with one each that take turns, one at a time.
 */
import type { Batch } from "../columns/batch.ts";
import { ColumnAllocator, type TableBuffer } from "../columns/columns.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { Mapper } from "../flow/mapper.ts";
import type { NatTable, OutsideSockets } from "../flow/nat.ts";
import type { RedirectTable } from "../flow/redirect_table.ts";
import { Reassembly } from "../flow/reassembly.ts";
import { readDestination } from "../route/addresses.ts";
import {
  DestinationKind,
  Destinations,
  isSpecial,
} from "../route/destination.ts";
import { isMappedIpv4, type Prefix } from "../wire/address.ts";
import { type Sum, sum } from "../wire/checksum.ts";
import { FragmentKind, PacketView } from "../wire/packet_view.ts";
import { Protocol } from "../wire/protocol.ts";
import type { AllowedIps } from "../wireguard/allowed_ips.ts";
import { ErrorKind, ErrorReplies } from "./error_replies.ts";
import { FragmentGate } from "./fragment_gate.ts";
import type { GatewayConfig } from "./gateway_config.ts";
import { Inbound } from "./inbound.ts";
import { isIcmp, Outbound } from "./outbound.ts";
import { LiveMappings } from "./live_mappings.ts";
import { LocalServices } from "./local_services.ts";
import type { OutsideError, SendFailure } from "./outside_error.ts";
import { PeerDelivery } from "./peer_delivery.ts";
import { readRow } from "./read_row.ts";
import { type RelayCommands, TcpRelay } from "./tcp_relay.ts";

export { type GatewayConfig, gatewayConfig } from "./gateway_config.ts";
export { type OutsideError, SendFailure } from "./outside_error.ts";

/** What a gateway works on. */
export interface GatewayOptions {
  readonly config: GatewayConfig;
  /** Shared with the other worker. */
  readonly nat: NatTable;
  /** Shared; the control thread writes it. */
  readonly allowedIps: AllowedIps;
  /** The open worker's; absent in the seal worker, which opens none. */
  readonly sockets?: OutsideSockets;
  /** Shared; where the policy for TCP is `proxy`. */
  readonly redirects?: RedirectTable;
  /** With `redirects`, the open worker's; absent in the seal worker, which gives none. */
  readonly relay?: RelayCommands;
  /**
   * What the gateways of all threads share besides the tables: zeros at first,
   * {@linkcode Gateway.stateBytes} long. Left out where there is one gateway.
   */
  readonly state?: TableBuffer;
  /** How payloads of the worker's arena are added up for their checksums. */
  readonly sum?: Sum;
}

/** One worker's view of the gateway. */
export class Gateway {
  readonly #allowedIps: AllowedIps;
  readonly #destinations: Destinations;
  readonly #errors: ErrorReplies;
  readonly #delivery: PeerDelivery;
  readonly #fragments: FragmentGate;
  readonly #local: LocalServices;
  readonly #mapper: Mapper;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #relay: TcpRelay | undefined;
  readonly #view = new PacketView();
  readonly #words = new Int32Array(4);
  #now = 0;

  /** Bytes of what the gateways of all threads share besides the tables. */
  static stateBytes(config: GatewayConfig): number {
    return PeerDelivery.byteLength + ErrorReplies.byteLength +
      Reassembly.byteLength(config.fragmentSlots);
  }

  constructor(options: GatewayOptions) {
    const { config, nat, allowedIps, sockets } = options;
    const add = options.sum ?? sum;
    const columns = new ColumnAllocator(
      options.state ?? new ArrayBuffer(Gateway.stateBytes(config)),
    );
    const errors = new ErrorReplies(config, columns);
    const delivery = new PeerDelivery(config.mtu, errors, columns);
    const live = new LiveMappings(nat, allowedIps, config);
    const mapper = new Mapper(nat, sockets ?? NO_SOCKETS, config);
    const slots = sockets === undefined ? 0 : config.fragmentSlots;
    const slotsPerPeer = config.fragmentSlotsPerPeer;
    const relay = openRelay(options, add);
    this.#allowedIps = allowedIps;
    this.#destinations = new Destinations({
      ...config,
      relayPrefixes: relayPrefixes(config),
    });
    this.#errors = errors;
    this.#delivery = delivery;
    this.#fragments = new FragmentGate({ slots, slotsPerPeer }, columns);
    this.#local = new LocalServices(config.host, delivery);
    this.#mapper = mapper;
    this.#outbound = new Outbound({
      config,
      nat,
      live,
      mapper,
      errors,
      delivery,
      relay,
      sum: add,
    });
    this.#relay = relay;
    this.#inbound = new Inbound({ config, nat, live, delivery, sum: add });
  }

  /** Open worker: decides every undecided row, packets that peers (`batch.peer`) sent. Appended rows come decided. */
  fromTunnel(batch: Batch, now: number): void {
    this.#now = now;
    const count = batch.count;
    this.#fragments.expire(batch, now);
    for (let row = 0; row < count; row++) {
      if (batch.verdict[row] === Verdict.Undecided) {
        this.#decide(batch, row, now, false);
      }
    }
  }

  /**
   * Open worker: a ToUdp or ToEcho row could not be sent. The row becomes a Drop
   * and the client gets an ICMP error (an appended row, ToPeer) where one is due.
   * Call it before the batch is cleared and with the row as it was decided.
   * @param mtu the path's, where `failure` is TooBig and it is known; else 0.
   */
  sendFailed(
    batch: Batch,
    row: number,
    failure: SendFailure,
    mtu: number,
  ): void {
    this.#outbound.sendFailed(batch, row, failure, mtu, this.#now);
  }

  /** Open worker: a ToRelay row could not be handed over: as {@linkcode TcpRelay.dialFailed}. */
  dialFailed(batch: Batch, row: number): void {
    this.#relay?.dialFailed(batch, row, this.#now);
  }

  /** Open worker: ends idle mappings and connections, a bounded number of rows a call. About once a second. */
  tick(now: number): void {
    this.#now = now;
    this.#mapper.sweep(now);
    this.#relay?.tick(now);
  }

  /** Open worker: ends all mappings and connections of a peer that was removed. */
  removePeer(peer: number): void {
    this.#mapper.removePeer(peer);
    this.#relay?.removePeer(peer, this.#now);
  }

  /** Seal worker: decides every row, packets that the host sent into the TUN device. */
  fromHost(batch: Batch, now: number): void {
    const count = batch.count;
    const relay = this.#relay;
    for (let row = 0; row < count; row++) {
      const at = batch.offset[row];
      const reason = readDestination(
        batch.bytes,
        at,
        batch.length[row],
        this.#words,
      );
      if (
        relay !== undefined && reason === DropReason.None &&
        relay.isFromRelay(batch.bytes, at)
      ) {
        this.#fromRelay(batch, row, relay, now);
        continue;
      }
      const peer = reason === DropReason.None
        ? this.#allowedIps.lookup(this.#words, 0)
        : -1;
      if (peer >= 0) batch.decide(row, Verdict.ToPeer, peer);
      else if (reason !== DropReason.None) batch.drop(row, reason);
      else if (isSpecial(this.#words, 0)) batch.drop(row, DropReason.Multicast);
      else batch.drop(row, DropReason.NoPeer);
    }
  }

  /**
   * Seal worker: decides every undecided row. UDP rows are payloads that the socket of NAT
   * row `target` received, with >= 48 writable bytes before them; echo rows are
   * ICMP messages, `target` the NAT row or -1 to find it by identifier.
   */
  fromOutside(batch: Batch, now: number): void {
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      if (batch.verdict[row] === Verdict.Undecided) {
        this.#inbound.decide(batch, row, now);
      }
    }
  }

  /**
   * Seal worker: a report from the error queue of the socket of NAT row
   * `natRow` (-1: find the echo mapping by the identifier in the payload). The
   * client gets the ICMP error as an appended row, ToPeer; where it can't be
   * translated the appended row is a Drop. A mapping never ends by it.
   */
  fromOutsideError(
    batch: Batch,
    natRow: number,
    error: OutsideError,
    now: number,
  ): void {
    this.#inbound.error(batch, natRow, error, now);
  }

  #fromRelay(batch: Batch, row: number, relay: TcpRelay, now: number): void {
    const redirect = relay.fromRelay(batch, row, now);
    if (redirect < 0) return;
    const { client, peer } = relay.table;
    // A removed peer's row may belong to another before its connections are ended.
    const owner = this.#allowedIps.lookup(client, redirect * 4);
    if (owner === peer[redirect]) batch.decide(row, Verdict.ToPeer, owner);
    else batch.drop(row, DropReason.NoPeer);
  }

  #decide(batch: Batch, row: number, now: number, reassembled: boolean): void {
    const view = this.#view;
    if (!readRow(batch, row, view)) return;
    if (!this.#sourceBelongs(batch.peer[row])) {
      return batch.drop(row, DropReason.SpoofedSource);
    }
    const kind = this.#destinationKind();
    const peer = this.#destinationPeer(kind);
    if (peer >= 0) return this.#delivery.forward(batch, row, view, peer, now);
    if (view.fragment !== FragmentKind.None && this.#isReadHere(kind)) {
      return this.#reassemble(batch, row, now);
    }
    switch (kind) {
      case DestinationKind.NotForwardable:
        return batch.drop(row, DropReason.Multicast);
      case DestinationKind.Gateway:
        return this.#local.atGateway(batch, row, view);
      case DestinationKind.HostOutside:
        return this.#toHostOutside(batch, row, now);
      case DestinationKind.Relay:
        return batch.drop(row, DropReason.RelayAddress);
      case DestinationKind.Inside:
        return this.#toNobody(batch, row, now);
      default:
        return this.#outbound.decide(batch, row, view, now, reassembled);
    }
  }

  /** Cryptokey routing; an IPv6 header must not pass for IPv4 by a mapped address. */
  #sourceBelongs(peer: number): boolean {
    const { version, sourceWords } = this.#view;
    if (version === 6 && isMappedIpv4(sourceWords, 0)) return false;
    return peer >= 0 && !isSpecial(sourceWords, 0) &&
      this.#allowedIps.lookup(sourceWords, 0) === peer;
  }

  #destinationKind(): number {
    const { version, destinationWords } = this.#view;
    return version === 6 && isMappedIpv4(destinationWords, 0)
      ? DestinationKind.NotForwardable
      : this.#destinations.kindOf(destinationWords, 0);
  }

  #destinationPeer(kind: number): number {
    return kind === DestinationKind.Inside || kind === DestinationKind.Outside
      ? this.#allowedIps.lookup(this.#view.destinationWords, 0)
      : -1;
  }

  /** Whether fragments to such a place are put together here; peers and the host do it themselves. */
  #isReadHere(kind: number): boolean {
    const view = this.#view;
    switch (kind) {
      case DestinationKind.Gateway:
        return isIcmp(view);
      case DestinationKind.HostOutside:
        return isIcmp(view) || view.protocol === Protocol.Udp;
      case DestinationKind.Outside:
        return this.#outbound.translates(view);
      default:
        return false;
    }
  }

  /** RFC 4787 REQ-9: the mapping that has the port, else the host. */
  #toHostOutside(batch: Batch, row: number, now: number): void {
    const view = this.#view;
    const mapping = this.#outbound.hairpinTarget(view, now);
    if (mapping < 0) return this.#local.atHost(batch, row, view);
    this.#outbound.hairpin(batch, row, view, mapping, now);
  }

  #toNobody(batch: Batch, row: number, now: number): void {
    const peer = batch.peer[row];
    batch.drop(row, DropReason.NoPeer);
    this.#errors.reply(
      batch,
      this.#view,
      peer,
      ErrorKind.HostUnreachable,
      0,
      now,
    );
  }

  #reassemble(batch: Batch, row: number, now: number): void {
    const whole = this.#fragments.add(batch, row, this.#view, now);
    if (whole >= 0) this.#decide(batch, whole, now, true);
  }
}

function openRelay(options: GatewayOptions, add: Sum): TcpRelay | undefined {
  const { config, redirects: table, relay: commands } = options;
  if (config.tcp !== "proxy") return undefined;
  if (config.relay === undefined || table === undefined) {
    throw new TypeError("TCP by proxy needs a relay and a redirect table");
  }
  return new TcpRelay({
    config: config.relay,
    mtu: config.mtu,
    table,
    commands,
    clients: "peers",
    sum: add,
  });
}

function relayPrefixes({ tcp, relay }: GatewayConfig): Prefix[] {
  if (tcp !== "proxy" || relay === undefined) return [];
  return [relay.ipv4, relay.ipv6].flatMap((end) => end?.address ?? []);
}

const NO_SOCKETS: OutsideSockets = {
  open: () => wrongWorker(),
  port: () => wrongWorker(),
  retire: () => wrongWorker(),
};

function wrongWorker(): never {
  throw new TypeError("this gateway was made without outside sockets");
}
