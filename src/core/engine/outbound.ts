/**
 * What becomes of a client's packet to the outside, in the order ICMP, UDP, TCP,
 * other. (DNS comes before: it is only served at the gateway's own address.)
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { admits, noteRemote } from "../flow/filtering.ts";
import type { Mapper } from "../flow/mapper.ts";
import type { NatTable } from "../flow/nat.ts";
import { restoreOutbound, translateOutbound } from "../flow/translate.ts";
import type { Sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { parsePacket } from "../wire/packet.ts";
import { FragmentKind, PacketView } from "../wire/packet_view.ts";
import { verifyTransport } from "../wire/transport_checksum.ts";
import { Protocol } from "../wire/protocol.ts";
import * as tcp from "../wire/tcp.ts";
import { isEchoRequest } from "./echo_answer.ts";
import { ErrorKind, type ErrorReplies } from "./error_replies.ts";
import type { GatewayConfig } from "./gateway_config.ts";
import type { LiveMappings } from "./live_mappings.ts";
import { SendFailure } from "./outside_error.ts";
import type { PeerDelivery } from "./peer_delivery.ts";
import type { TcpRelay } from "./tcp_relay.ts";

/** The parts of a gateway that packets to the outside need. */
export interface OutboundParts {
  readonly config: GatewayConfig;
  readonly nat: NatTable;
  readonly live: LiveMappings;
  readonly mapper: Mapper;
  readonly errors: ErrorReplies;
  readonly delivery: PeerDelivery;
  /** Where the policy for TCP is `proxy`. */
  readonly relay?: TcpRelay;
  readonly sum: Sum;
}

const LONGEST_RESET = ipv6.HEADER_LENGTH + tcp.HEADER_LENGTH;
// RFC 8200 section 5: no link may be smaller, so no error may claim it.
const LEAST_MTU_6 = 1280;

/** Forwards, translates or refuses. */
export class Outbound {
  readonly #config: GatewayConfig;
  readonly #nat: NatTable;
  readonly #live: LiveMappings;
  readonly #mapper: Mapper;
  readonly #errors: ErrorReplies;
  readonly #delivery: PeerDelivery;
  readonly #relay: TcpRelay | undefined;
  readonly #sum: Sum;
  readonly #failedView = new PacketView();

  constructor(parts: OutboundParts) {
    this.#config = parts.config;
    this.#nat = parts.nat;
    this.#live = parts.live;
    this.#mapper = parts.mapper;
    this.#errors = parts.errors;
    this.#delivery = parts.delivery;
    this.#relay = parts.relay;
    this.#sum = parts.sum;
  }

  /** Whether a packet of this kind would be translated, so that its fragments are worth keeping. */
  translates(view: PacketView): boolean {
    const config = this.#config;
    if (view.version === 6 && config.ipv6 === "refuse") return false;
    if (view.protocol === Protocol.Udp) return config.udp === "nat";
    if (view.protocol === Protocol.Tcp) {
      return this.#relay?.serves(view.version) === true;
    }
    return isIcmp(view) && config.icmp === "nat";
  }

  /**
   * Decides a row for the outside.
   * @param view the packet; a fragment only where {@linkcode translates} says no
   * @param reassembled whether it came in fragments
   */
  decide(
    batch: Batch,
    row: number,
    view: PacketView,
    now: number,
    reassembled: boolean,
  ): void {
    if (view.version === 6 && this.#config.ipv6 === "refuse") {
      this.#refuse(
        batch,
        row,
        view,
        DropReason.Ipv6Refused,
        ErrorKind.NetworkUnreachable,
        now,
      );
      return;
    }
    if (view.hopLimit <= 1) {
      this.#refuse(
        batch,
        row,
        view,
        DropReason.HopLimitExceeded,
        ErrorKind.TimeExceeded,
        now,
      );
      return;
    }
    if (
      !isIcmp(view) && view.protocol !== Protocol.Udp &&
      view.protocol !== Protocol.Tcp
    ) {
      batch.drop(row, DropReason.ProtocolNotForwarded);
      return;
    }
    if (
      view.protocol === Protocol.Tcp && this.#relay?.serves(view.version)
    ) {
      this.#relay.fromClient(batch, row, view, now);
      return;
    }
    const reason = verifyTransport(batch.bytes, view, this.#sum);
    if (reason !== DropReason.None) batch.drop(row, reason);
    else if (isIcmp(view)) this.#icmp(batch, row, view, now);
    else if (view.protocol === Protocol.Udp) {
      this.#udp(batch, row, view, now, reassembled);
    } else this.#tcp(batch, row, view);
  }

  /** The open mapping that a packet to one of the host's outside addresses is for, or -1. */
  hairpinTarget(view: PacketView, now: number): number {
    const { protocol, version, destinationPort } = view;
    if (protocol !== Protocol.Udp || this.#config.udp !== "nat") return -1;
    const mapping = this.#nat.lookupExternal(
      protocol,
      version,
      destinationPort,
    );
    return this.#live.has(mapping, now) ? mapping : -1;
  }

  /**
   * Takes a packet from one client to another one's mapping (RFC 4787 REQ-9):
   * translated twice, so that its source is the sender's external address and
   * port (REQ-9 a). The same filter holds as for the outside.
   */
  hairpin(
    batch: Batch,
    row: number,
    view: PacketView,
    target: number,
    now: number,
  ): void {
    if (view.hopLimit <= 1) {
      this.#refuse(
        batch,
        row,
        view,
        DropReason.HopLimitExceeded,
        ErrorKind.TimeExceeded,
        now,
      );
      return;
    }
    const reason = verifyTransport(batch.bytes, view, this.#sum);
    if (reason !== DropReason.None) {
      batch.drop(row, reason);
      return;
    }
    const nat = this.#nat;
    const mapping = this.#map(batch, row, view, view.sourcePort, now);
    if (mapping < 0) return;
    const from = nat.externalPort[mapping];
    if (
      !admits(nat, target, this.#config, view.destinationWords, 0, from, now)
    ) {
      batch.drop(row, DropReason.Filtered);
      return;
    }
    const hopLimit = view.hopLimit - 1;
    translateOutbound(batch, row, view, nat, mapping, 0);
    batch.remotePort[row] = from;
    this.#delivery.deliverTranslated(
      batch,
      row,
      nat,
      target,
      hopLimit,
      this.#sum,
    );
  }

  /** Drops a row that could not be sent and tells its client where an error is due. */
  sendFailed(
    batch: Batch,
    row: number,
    failure: SendFailure,
    mtu: number,
    now: number,
  ): void {
    const view = this.#failedView;
    restoreOutbound(batch, row, this.#nat);
    const parsed = parsePacket(
      batch.bytes,
      batch.offset[row],
      batch.length[row],
      view,
    );
    const reason = failure === SendFailure.TooBig
      ? DropReason.TooBig
      : DropReason.SendFailed;
    const kind = errorOf(failure);
    batch.drop(row, reason);
    if (kind === 0 || parsed !== DropReason.None) return;
    const told = view.version === 6 && kind === ErrorKind.TooBig
      ? Math.max(mtu, LEAST_MTU_6)
      : mtu;
    this.#errors.reply(batch, view, batch.peer[row], kind, told, now);
  }

  #icmp(batch: Batch, row: number, view: PacketView, now: number): void {
    if (this.#config.icmp === "drop") {
      batch.drop(row, DropReason.IcmpPolicyDrop);
    } else if (!isEchoRequest(view)) {
      batch.drop(row, DropReason.IcmpNotForwarded);
    } else {
      const mapping = this.#map(batch, row, view, view.identifier, now);
      if (mapping >= 0) {
        translateOutbound(batch, row, view, this.#nat, mapping, 0);
      }
    }
  }

  #udp(
    batch: Batch,
    row: number,
    view: PacketView,
    now: number,
    reassembled: boolean,
  ): void {
    if (this.#config.udp === "drop") {
      batch.drop(row, DropReason.UdpPolicyDrop);
      return;
    }
    const mapping = this.#map(batch, row, view, view.sourcePort, now);
    if (mapping < 0) return;
    const whole = view.version === 4
      ? ipv4.dontFragment(batch.bytes, view.at)
      : !reassembled;
    translateOutbound(batch, row, view, this.#nat, mapping, whole ? 1 : 0);
  }

  #tcp(batch: Batch, row: number, view: PacketView): void {
    if (this.#config.tcp === "drop") {
      batch.drop(row, DropReason.TcpPolicyDrop);
      return;
    }
    batch.drop(row, DropReason.TcpPolicyReject);
    if (view.fragment !== FragmentKind.None) return;
    const peer = batch.peer[row];
    const reset = batch.append(LONGEST_RESET, peer);
    if (reset < 0) return;
    const { bytes } = batch;
    batch.length[reset] = tcp.emitReset(
      bytes,
      batch.offset[reset],
      bytes,
      view.at,
    );
    if (batch.length[reset] > 0) batch.decide(reset, Verdict.ToPeer, peer);
    else batch.decide(reset, Verdict.Held, 0);
  }

  /** The sender's mapping; where none can be made the row is refused and -1 returned. */
  #map(
    batch: Batch,
    row: number,
    view: PacketView,
    port: number,
    now: number,
  ): number {
    const { sourceWords, destinationWords } = view;
    const peer = batch.peer[row];
    const mapping = this.#mapper.map(
      view.protocol,
      sourceWords,
      0,
      port,
      peer,
      now,
    );
    if (mapping < 0) {
      this.#refuse(batch, row, view, -mapping, ErrorKind.Prohibited, now);
      return -1;
    }
    noteRemote(
      this.#nat,
      mapping,
      this.#config,
      destinationWords,
      0,
      view.destinationPort,
      now,
    );
    return mapping;
  }

  #refuse(
    batch: Batch,
    row: number,
    view: PacketView,
    reason: DropReason,
    kind: ErrorKind,
    now: number,
  ): void {
    batch.drop(row, reason);
    this.#errors.reply(batch, view, batch.peer[row], kind, 0, now);
  }
}

/** Whether a packet is of its family's own ICMP. */
export function isIcmp(view: PacketView): boolean {
  return view.protocol ===
    (view.version === 4 ? Protocol.Icmp : Protocol.Icmpv6);
}

/** The error that tells a client of a failure; 0 where it should just try again. */
function errorOf(failure: SendFailure): ErrorKind {
  switch (failure) {
    case SendFailure.TooBig:
      return ErrorKind.TooBig;
    case SendFailure.NetworkUnreachable:
      return ErrorKind.NetworkUnreachable;
    case SendFailure.HostUnreachable:
      return ErrorKind.HostUnreachable;
    case SendFailure.NotPermitted:
      return ErrorKind.Prohibited;
    case SendFailure.Transient:
      return 0;
  }
}
