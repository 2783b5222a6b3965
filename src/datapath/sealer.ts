/**
 * Plaintext packets to transport messages, in place:
 *
 *     | S4 random | header 16 | packet, zeros to a multiple of 16 | tag 16 |
 *                             ^ at                ^ at + length
 *
 * Every thread that sends has a Sealer of its own over the shared session and
 * peer tables; counters are taken from the session by Atomics.
 */
import type { PeerTable } from "../core/wireguard/peer_table.ts";
import type { SessionTable } from "../core/wireguard/session_table.ts";
import type { TrafficWriter } from "../core/wireguard/peer_table.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
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
}

/** Bytes that a sealed packet needs before its plaintext. */
export function sealHeadroom(format: MessageFormat): number {
  return format.prefix[MessageKind.Transport - 1] + TRANSPORT_HEADER_LENGTH;
}

/** Bytes that a sealed packet may need behind its plaintext: padding and tag. */
export const SEAL_TAILROOM = 15 + TAG_LENGTH;

/** Seals packets for peers and queues them at the tunnel socket. */
export class Sealer {
  readonly #options: SealerOptions;
  readonly #prefix: number;
  readonly #endpoint = new Int32Array(4);

  constructor(options: SealerOptions) {
    this.#options = options;
    this.#prefix = options.format.prefix[MessageKind.Transport - 1];
  }

  /**
   * Seals bytes[at .. at+length) for a peer and queues the message.
   * @param link told of the first data sent, so that timers start; undefined on
   * the control thread, which keeps them itself.
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
    const { sessions, peers, bytes, format, writer } = this.#options;
    const slot = peers.currentSession(peer);
    if (
      slot < 0 || now - sessions.createdAt[slot] >= this.#options.rejectAfterMs
    ) return DropReason.NoSession;
    const port = peers.readEndpoint(peer, this.#endpoint, 0);
    if (port === 0) return DropReason.NoEndpoint;
    const generation = Atomics.load(sessions.generation, slot);
    // Still the peer's, so the generation is of a session with keys: a slot is
    // taken from its peer before it is released.
    if (peers.currentSession(peer) !== slot) return DropReason.NoSession;
    const counter = sessions.reserveCounters(slot, 1);
    if (counter < 0) return DropReason.NoSession;

    const padded = paddedLength(length, this.#options.mtu);
    for (let i = at + length; i < at + padded; i++) bytes[i] = 0;
    this.#options.aead.seal(sessions.sendKey(slot), counter, at, padded);
    const header = at - TRANSPORT_HEADER_LENGTH;
    const type = drawHeader(
      format,
      MessageKind.Transport,
      this.#options.random.uint32(),
    );
    const receiver = sessions.remoteIndex[slot] >>> 0;
    writeTransportHeader(bytes, header, type, receiver, counter);
    const start = header - this.#prefix;
    if (this.#prefix > 0) {
      this.#options.random.fill(bytes, start, this.#prefix);
    }
    // The keys may have been erased while they were in use.
    if (Atomics.load(sessions.generation, slot) !== generation) {
      return DropReason.SessionExpired;
    }
    const wireLength = at + padded + TAG_LENGTH - start;
    this.#options.socket.queue(start, wireLength, this.#endpoint, 0, port);
    peers.addSent(writer, peer, 1, wireLength);
    if (length === 0) peers.noteKeepaliveSent(peer, now);
    else if (peers.noteDataSent(peer, now)) link?.peerEvent(peer);
    return DropReason.None;
  }
}
