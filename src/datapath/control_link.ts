/**
 * What a worker tells the control thread: messages in a ring of shared memory,
 * and a bell. Where the ring is full the message is lost and the caller counts
 * a drop; nothing waits.
 */
import {
  ControlMessage,
  REMOTE_LENGTH,
} from "../core/columns/control_message.ts";
import type { Batch } from "../core/columns/batch.ts";
import type { DropReason } from "../core/columns/drop_reason.ts";
import type { Ring } from "../core/columns/ring.ts";
import { writeWords } from "../core/wire/address.ts";
import { DropTrace } from "./drop_trace.ts";
import { PeerEvent, type PeerTable } from "../core/wireguard/peer_table.ts";

/** The longest datagram that can be a handshake message: prefix and message. */
const HANDSHAKE_LIMIT = 2048;

/** A worker's end of the link. */
export class ControlLink {
  readonly #ring: Ring;
  readonly #peers: PeerTable;
  readonly #bell: Int32Array;
  readonly #scratch = new Uint8Array(REMOTE_LENGTH + HANDSHAKE_LIMIT);
  readonly #trace: DropTrace;

  /**
   * @param bell a shared cell; the control thread waits on it.
   * @param trace whether dropped packets are shown to the control thread.
   */
  constructor(
    ring: Ring,
    peers: PeerTable,
    bell: Int32Array,
    trace: boolean,
  ) {
    this.#ring = ring;
    this.#peers = peers;
    this.#bell = bell;
    this.#trace = new DropTrace(trace ? ring : undefined);
  }

  /** Hands over a handshake datagram with its source. */
  handshake(batch: Batch, row: number): boolean {
    const length = batch.length[row];
    if (length > HANDSHAKE_LIMIT) return false;
    const scratch = this.#scratch;
    writeWords(scratch, 0, batch.remote, row * 4);
    copy(batch.bytes, batch.offset[row], scratch, REMOTE_LENGTH, length);
    return this.#send(
      ControlMessage.Handshake,
      batch.remotePort[row],
      0,
      scratch,
      0,
      REMOTE_LENGTH + length,
    );
  }

  /** Hands over a packet for which there is no session yet. */
  stage(batch: Batch, row: number, peer: number): boolean {
    return this.#sendRow(ControlMessage.Stage, batch, row, peer);
  }

  /** Hands over a packet that the gateway itself answers. */
  packet(batch: Batch, row: number): boolean {
    return this.#sendRow(ControlMessage.Packet, batch, row, batch.peer[row]);
  }

  /** Says that a peer's event flags changed. */
  peerEvent(peer: number): void {
    if (
      !this.#send(ControlMessage.PeerEvent, peer, 0, this.#scratch, 0, 0)
    ) {
      this.#peers.withdrawPeerEvent(
        peer,
        PeerEvent.DataSent | PeerEvent.DataReceived |
          PeerEvent.KeepaliveReceived,
      );
    }
  }

  /** Shows a dropped packet, at a bounded rate. */
  dropped(batch: Batch, row: number, reason: DropReason, now: number): void {
    if (this.#trace.dropped(batch, row, reason, now)) this.#ringBell();
  }

  #sendRow(kind: number, batch: Batch, row: number, peer: number): boolean {
    return this.#send(
      kind,
      peer,
      0,
      batch.bytes,
      batch.offset[row],
      batch.length[row],
    );
  }

  #send(
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): boolean {
    if (!this.#ring.tryWrite(kind, a, b, bytes, at, length)) return false;
    this.#ringBell();
    return true;
  }

  #ringBell(): void {
    Atomics.add(this.#bell, 0, 1);
    Atomics.notify(this.#bell, 0);
  }
}

function copy(
  from: Uint8Array,
  fromAt: number,
  to: Uint8Array,
  toAt: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i];
}
