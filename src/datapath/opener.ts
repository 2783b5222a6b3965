/**
 * Datagrams of the tunnel socket to inner packets, in place: classify, find the
 * session, authenticate and decrypt, refuse replays. Handshake messages go to
 * the control thread; everything else that is not a packet is dropped with its
 * reason. Afterwards an undecided row is an inner packet of `batch.peer`.
 */
import type { Batch } from "../core/columns/batch.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import { Verdict } from "../core/columns/verdict.ts";
import { classify, type MessageFormat } from "../core/wireguard/classify.ts";
import {
  MessageKind,
  TAG_LENGTH,
  TRANSPORT_HEADER_LENGTH,
  transportCounter,
  transportReceiver,
} from "../core/wireguard/messages.ts";
import { PeerEvent, type PeerTable } from "../core/wireguard/peer_table.ts";
import { TrafficWriter } from "../core/wireguard/peer_table.ts";
import type { SessionTable } from "../core/wireguard/session_table.ts";
import type { ControlLink } from "./control_link.ts";
import type { PacketAead } from "./crypto/packet_aead.ts";

/** What an Opener works on. */
export interface OpenerOptions {
  readonly sessions: SessionTable;
  readonly peers: PeerTable;
  readonly format: MessageFormat;
  readonly aead: PacketAead;
  readonly link: ControlLink;
  /** A session older than this is not used, in ms (REJECT_AFTER_TIME). */
  readonly rejectAfterMs: number;
}

/** Opens what the tunnel socket received. */
export class Opener {
  readonly #options: OpenerOptions;

  constructor(options: OpenerOptions) {
    this.#options = options;
  }

  /** Decides every row that is not an authentic inner packet. */
  open(batch: Batch, now: number): void {
    const { format, link } = this.#options;
    for (let row = 0; row < batch.count; row++) {
      const at = batch.offset[row];
      const length = batch.length[row];
      const kind = classify(batch.bytes, at, length, format);
      if (kind === MessageKind.Transport) {
        const reason = this.#openTransport(batch, row, now);
        if (reason !== DropReason.None) batch.drop(row, reason);
      } else if (kind === MessageKind.None) {
        batch.drop(row, DropReason.NotWireGuard);
      } else if (link.handshake(batch, row)) {
        batch.decide(row, Verdict.Held, 0);
      } else {
        batch.drop(row, DropReason.ControlQueueFull);
      }
    }
  }

  #openTransport(batch: Batch, row: number, now: number): DropReason {
    const { sessions, peers, format, aead, link } = this.#options;
    const bytes = batch.bytes;
    const header = batch.offset[row] + format.prefix[MessageKind.Transport - 1];
    const receiver = transportReceiver(bytes, header);
    const slot = sessions.lookup(receiver);
    if (slot < 0) return DropReason.UnknownSession;
    if (now - sessions.createdAt[slot] >= this.#options.rejectAfterMs) {
      return DropReason.SessionExpired;
    }
    const counter = transportCounter(bytes, header);
    if (counter < 0) return DropReason.Replayed;
    const wireLength = batch.length[row];
    const at = header + TRANSPORT_HEADER_LENGTH;
    const length = batch.offset[row] + wireLength - at - TAG_LENGTH;
    const generation = Atomics.load(sessions.generation, slot);
    if (!aead.open(sessions.receiveKey(slot), counter, at, length)) {
      return DropReason.AuthenticationFailed;
    }
    // An erased key authenticates what anybody can make.
    if (
      Atomics.load(sessions.generation, slot) !== generation ||
      sessions.lookup(receiver) !== slot
    ) return DropReason.UnknownSession;
    if (!sessions.acceptCounter(slot, counter)) return DropReason.Replayed;

    const peer = sessions.peer[slot];
    batch.peer[row] = peer;
    batch.offset[row] = at;
    batch.length[row] = length;
    peers.addReceived(TrafficWriter.OpenPump, peer, 1, wireLength);
    let events = 0;
    if (sessions.confirm(slot)) events |= PeerEvent.SessionConfirmed;
    if (peers.setEndpoint(peer, batch.remote, row * 4, batch.remotePort[row])) {
      events |= PeerEvent.EndpointChanged;
    }
    let tell = events !== 0 && peers.notePeerEvent(peer, events);
    if (length === 0) {
      batch.decide(row, Verdict.Held, 0);
      if (peers.noteKeepaliveReceived(peer, now)) tell = true;
    } else if (peers.noteDataReceived(peer, now)) tell = true;
    if (tell) link.peerEvent(peer);
    return DropReason.None;
  }
}
