/**
 * Datagrams of the tunnel socket to inner packets, in place, in two steps:
 *
 *     decrypt   classify, find the session, authenticate and decrypt
 *     admit     refuse replays, note the peer's life and whereabouts, hand
 *               handshake messages to the control thread
 *
 * What is no packet is dropped with its reason. After both, an undecided row is
 * an inner packet of `batch.peer`. The first step only reads what threads share.
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
  /** Rows of the batches. */
  readonly rows: number;
}

/** In the place of a session's slot: a handshake message. */
const HANDSHAKE = -1;
/** In the place of a session's slot: no session. */
const NONE = -2;

/** Opens what the tunnel socket received. */
export class Opener {
  readonly #options: OpenerOptions;
  // From the first step to the second, per row.
  readonly #slot: Int32Array;
  readonly #generation: Int32Array;
  readonly #counter: Float64Array;
  // What holds for a run of rows of one session: looked up once.
  #runReceiver = 0;
  #runSlot = NONE;
  #runGeneration = 0;
  #isDataNoted = false;

  constructor(options: OpenerOptions) {
    this.#options = options;
    this.#slot = new Int32Array(options.rows);
    this.#generation = new Int32Array(options.rows);
    this.#counter = new Float64Array(options.rows);
  }

  /** Decrypts every row; decides those that are neither authentic nor a handshake. */
  decrypt(batch: Batch, now: number): void {
    const { format } = this.#options;
    this.#runSlot = NONE;
    for (let row = 0; row < batch.count; row++) {
      const at = batch.offset[row];
      const length = batch.length[row];
      const kind = classify(batch.bytes, at, length, format);
      if (kind === MessageKind.Transport) {
        const reason = this.#decrypt(batch, row, now);
        if (reason !== DropReason.None) batch.drop(row, reason);
      } else if (kind === MessageKind.None) {
        batch.drop(row, DropReason.NotWireGuard);
      } else this.#slot[row] = HANDSHAKE;
    }
  }

  /** Decides every decrypted row that is not an inner packet seen for the first time. */
  admit(batch: Batch, now: number): void {
    const { link } = this.#options;
    this.#runSlot = NONE;
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] !== Verdict.Undecided) continue;
      if (this.#slot[row] !== HANDSHAKE) {
        const reason = this.#admit(batch, row, now);
        if (reason !== DropReason.None) batch.drop(row, reason);
      } else if (link.handshake(batch, row)) {
        batch.decide(row, Verdict.Held, 0);
      } else {
        batch.drop(row, DropReason.ControlQueueFull);
      }
    }
  }

  #decrypt(batch: Batch, row: number, now: number): DropReason {
    const { format, aead } = this.#options;
    const bytes = batch.bytes;
    const header = batch.offset[row] + format.prefix[MessageKind.Transport - 1];
    // As a signed integer, which costs no memory to keep.
    const receiver = transportReceiver(bytes, header) | 0;
    if (receiver !== this.#runReceiver || this.#runSlot === NONE) {
      const reason = this.#find(receiver, now);
      if (reason !== DropReason.None) return reason;
    }
    const slot = this.#runSlot;
    const counter = transportCounter(bytes, header);
    if (counter < 0) return DropReason.Replayed;
    const at = header + TRANSPORT_HEADER_LENGTH;
    const length = batch.offset[row] + batch.length[row] - at - TAG_LENGTH;
    this.#slot[row] = slot;
    this.#generation[row] = this.#runGeneration;
    this.#counter[row] = counter;
    return aead.open(counter, at, length)
      ? DropReason.None
      : DropReason.AuthenticationFailed;
  }

  /** Finds the session that a run of rows belongs to. */
  #find(receiver: number, now: number): DropReason {
    const { sessions, aead } = this.#options;
    this.#runSlot = NONE;
    const slot = sessions.lookup(receiver);
    if (slot < 0) return DropReason.UnknownSession;
    this.#runGeneration = Atomics.load(sessions.generation, slot);
    // Still there, so the generation is of a session with keys.
    if (sessions.lookup(receiver) !== slot) return DropReason.UnknownSession;
    if (now - sessions.createdAt[slot] >= this.#options.rejectAfterMs) {
      return DropReason.SessionExpired;
    }
    aead.openWith(sessions.receiveKey(slot));
    this.#runReceiver = receiver;
    this.#runSlot = slot;
    return DropReason.None;
  }

  #admit(batch: Batch, row: number, now: number): DropReason {
    const { sessions, peers, format, link } = this.#options;
    const slot = this.#slot[row];
    const generation = this.#generation[row];
    if (slot !== this.#runSlot || generation !== this.#runGeneration) {
      // An erased key authenticates what anybody can make.
      if (Atomics.load(sessions.generation, slot) !== generation) {
        return DropReason.UnknownSession;
      }
      this.#runSlot = slot;
      this.#runGeneration = generation;
      this.#isDataNoted = false;
    }
    if (!sessions.acceptCounter(slot, this.#counter[row])) {
      return DropReason.Replayed;
    }
    const peer = sessions.peer[slot];
    const wireLength = batch.length[row];
    const overhead = format.prefix[MessageKind.Transport - 1] +
      TRANSPORT_HEADER_LENGTH;
    const length = wireLength - overhead - TAG_LENGTH;
    batch.peer[row] = peer;
    batch.offset[row] += overhead;
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
    } else if (!this.#isDataNoted) {
      this.#isDataNoted = true;
      if (peers.noteDataReceived(peer, now)) tell = true;
    }
    if (tell) link.peerEvent(peer);
    return DropReason.None;
  }
}
