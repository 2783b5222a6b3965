/**
 * Plaintext packets to transport messages, in place:
 *
 *     | S4 random | header 16 | packet, zeros to a multiple of 16 | tag 16 |
 *                             ^ at                ^ at + length
 *
 * Every thread that sends has a Sealer of its own over the shared session and
 * peer tables; counters are taken from the session by Atomics. A batch is sealed
 * in three steps, so that the middle one needs no order:
 *
 *     reserve   session and message counters, for a run of rows at once
 *     encrypt   only reads what threads share
 *     send      queue at the socket, note the peer's life
 */
import type { PeerTable } from "../core/wireguard/peer_table.ts";
import type { SessionTable } from "../core/wireguard/session_table.ts";
import type { TrafficWriter } from "../core/wireguard/peer_table.ts";
import type { Batch } from "../core/columns/batch.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import { Verdict } from "../core/columns/verdict.ts";
import { drawHeader, type MessageFormat } from "../core/wireguard/classify.ts";
import {
  MessageKind,
  paddedLength,
  TAG_LENGTH,
  TRANSPORT_HEADER_LENGTH,
  writeTransportHeader,
} from "../core/wireguard/messages.ts";
import type { TunnelSocket } from "../io/ports.ts";
import type { ControlLink } from "./control_link.ts";
import type { PacketAead } from "./crypto/packet_aead.ts";
import type { RandomPool } from "./random_pool.ts";

/** What a Sealer works on. */
export interface SealerOptions {
  /** The arena. */
  readonly bytes: Uint8Array;
  readonly sessions: SessionTable;
  readonly peers: PeerTable;
  readonly format: MessageFormat;
  readonly aead: PacketAead;
  readonly socket: TunnelSocket;
  readonly random: RandomPool;
  /** Which traffic columns are this thread's. */
  readonly writer: TrafficWriter;
  /** The tunnel's MTU: padding never goes past it. */
  readonly mtu: number;
  /** A session older than this is not used, in ms (REJECT_AFTER_TIME). */
  readonly rejectAfterMs: number;
  /** Rows of the batches; 0 where only {@linkcode Sealer.seal} is called. */
  readonly rows: number;
}

/** Bytes that a sealed packet needs before its plaintext. */
export function sealHeadroom(format: MessageFormat): number {
  return format.prefix[MessageKind.Transport - 1] + TRANSPORT_HEADER_LENGTH;
}

/** Bytes that a sealed packet may need behind its plaintext: padding and tag. */
export const SEAL_TAILROOM = 15 + TAG_LENGTH;

/** In the place of a session's slot: none. */
const NONE = -1;

/** Seals packets for peers and queues them at the tunnel socket. */
export class Sealer {
  readonly #options: SealerOptions;
  readonly #prefix: number;
  /** Whether all messages are of one type, and which: signed, so that it costs no memory to hand on. */
  readonly #isTypeFixed: boolean;
  readonly #type: number;
  readonly #endpoint = new Int32Array(4);
  // From step to step, per row; the last one is for single packets.
  readonly #slot: Int32Array;
  readonly #generation: Int32Array;
  readonly #counter: Float64Array;
  /** Why a row can't be sealed; DropReason.None where it can. */
  readonly #reason: Int32Array;
  // What holds for a run of rows of one session: looked at once.
  #runSlot = NONE;
  #runGeneration = 0;
  #runPort = 0;
  /** Whose key the provider has. */
  #keySlot = NONE;
  #keyGeneration = 0;

  constructor(options: SealerOptions) {
    const rows = options.rows + 1;
    this.#options = options;
    const { prefix, headerFirst, headerLast } = options.format;
    const transport = MessageKind.Transport - 1;
    this.#prefix = prefix[transport];
    this.#isTypeFixed = headerFirst[transport] === headerLast[transport];
    this.#type = headerFirst[transport] | 0;
    this.#slot = new Int32Array(rows);
    this.#generation = new Int32Array(rows);
    this.#counter = new Float64Array(rows);
    this.#reason = new Int32Array(rows);
  }

  /** Takes session and counter for every row that goes to a peer, in their order. */
  reserve(batch: Batch, now: number): void {
    const { verdict, target, count } = batch;
    this.#runSlot = NONE;
    for (let row = 0; row < count;) {
      const from = row++;
      if (verdict[from] !== Verdict.ToPeer) continue;
      const peer = target[from];
      while (
        row < count && verdict[row] === Verdict.ToPeer && target[row] === peer
      ) row++;
      this.#reserve(from, row, peer, now);
    }
  }

  /** Encrypts what {@linkcode reserve} has seen, in place. */
  encrypt(batch: Batch): void {
    this.#keySlot = NONE;
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] === Verdict.ToPeer) {
        this.#encrypt(row, batch.offset[row], batch.length[row]);
      }
    }
  }

  /**
   * Queues the message of a row that {@linkcode encrypt} has seen.
   * @param link told of the first data sent, so that timers start.
   * @returns as {@linkcode seal}.
   */
  send(
    batch: Batch,
    row: number,
    now: number,
    link: ControlLink,
  ): DropReason {
    const at = batch.offset[row];
    return this.#send(row, at, batch.length[row], batch.target[row], now, link);
  }

  /**
   * Seals bytes[at .. at+length) for a peer and queues the message.
   * @param link as for {@linkcode send}; undefined on the control thread, which
   * keeps the timers itself.
   * @returns DropReason.None, or why the packet was not sent. After NoSession
   * the packet is unchanged and may be staged.
   */
  seal(
    at: number,
    length: number,
    peer: number,
    now: number,
    link: ControlLink | undefined,
  ): DropReason {
    const row = this.#options.rows;
    this.#runSlot = NONE;
    this.#keySlot = NONE;
    this.#reserve(row, row + 1, peer, now);
    this.#encrypt(row, at, length);
    return this.#send(row, at, length, peer, now, link);
  }

  /** Takes session and counters for rows [from, to), all for one peer. */
  #reserve(from: number, to: number, peer: number, now: number): void {
    const { sessions, peers } = this.#options;
    const slot = peers.currentSession(peer);
    let reason: DropReason = DropReason.None;
    let generation = 0;
    let counter = 0;
    if (
      slot < 0 || now - sessions.createdAt[slot] >= this.#options.rejectAfterMs
    ) reason = DropReason.NoSession;
    else if (peers.readEndpoint(peer, this.#endpoint, 0) === 0) {
      reason = DropReason.NoEndpoint;
    } else {
      generation = Atomics.load(sessions.generation, slot);
      // Still the peer's, so the generation is of a session with keys: a slot is
      // taken from its peer before it is released.
      counter = peers.currentSession(peer) === slot
        ? sessions.reserveCounters(slot, to - from)
        : -1;
      if (counter < 0) reason = DropReason.NoSession;
    }
    for (let row = from; row < to; row++) {
      this.#slot[row] = slot;
      this.#generation[row] = generation;
      this.#counter[row] = counter++;
      this.#reason[row] = reason;
    }
  }

  #encrypt(row: number, at: number, length: number): void {
    if (this.#reason[row] !== DropReason.None) return;
    const { bytes, sessions, aead, format, random, mtu } = this.#options;
    const slot = this.#slot[row];
    const counter = this.#counter[row];
    const padded = paddedLength(length, mtu);
    for (let i = at + length; i < at + padded; i++) bytes[i] = 0;
    if (
      slot !== this.#keySlot || this.#generation[row] !== this.#keyGeneration
    ) {
      aead.sealWith(sessions.sendKey(slot));
      this.#keySlot = slot;
      this.#keyGeneration = this.#generation[row];
    }
    aead.seal(counter, at, padded);
    const header = at - TRANSPORT_HEADER_LENGTH;
    const type = this.#isTypeFixed
      ? this.#type
      : drawHeader(format, MessageKind.Transport, random.uint32()) | 0;
    const receiver = sessions.remoteIndex[slot];
    writeTransportHeader(bytes, header, type, receiver, counter);
    if (this.#prefix > 0) {
      random.fill(bytes, header - this.#prefix, this.#prefix);
    }
  }

  #send(
    row: number,
    at: number,
    length: number,
    peer: number,
    now: number,
    link: ControlLink | undefined,
  ): DropReason {
    const { sessions, peers, socket, writer, mtu } = this.#options;
    const reason = this.#reason[row];
    if (reason !== DropReason.None) return reason;
    const slot = this.#slot[row];
    const generation = this.#generation[row];
    if (slot !== this.#runSlot || generation !== this.#runGeneration) {
      // The keys may have been erased while they were in use.
      if (Atomics.load(sessions.generation, slot) !== generation) {
        return DropReason.SessionExpired;
      }
      this.#runPort = peers.readEndpoint(peer, this.#endpoint, 0);
      if (this.#runPort === 0) return DropReason.NoEndpoint;
      this.#runSlot = slot;
      this.#runGeneration = generation;
      if (length === 0) peers.noteKeepaliveSent(peer, now);
      else if (peers.noteDataSent(peer, now)) link?.peerEvent(peer);
    }
    const start = at - TRANSPORT_HEADER_LENGTH - this.#prefix;
    const wireLength = at + paddedLength(length, mtu) + TAG_LENGTH - start;
    socket.queue(start, wireLength, this.#endpoint, 0, this.#runPort);
    peers.addSent(writer, peer, 1, wireLength);
    return DropReason.None;
  }
}
