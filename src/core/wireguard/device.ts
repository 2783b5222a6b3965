/**
 * The control machine of a WireGuard interface: handshakes in both roles,
 * timers, cookies. Sans-I/O: datagrams, events and the time go in; datagrams to
 * send and packets to seal come out of {@linkcode Device.poll}. Which peers there
 * are is told to {@linkcode Device.peers}.
 *
 * Transport data never passes through here. Workers open and seal it with the
 * shared tables, and hand over what they cannot decide: handshake messages
 * (handleDatagram), packets without a session (stagePacket), and the flags of
 * PeerTable (handlePeerEvents). After each call, poll until it gives nothing
 * and ask nextTimeout anew.
 */
import type { AddressWords } from "../wire/address.ts";
import { DropReason } from "../columns/drop_reason.ts";
import {
  noteDataSent,
  noteReceived,
  reviewOwed,
  reviewSilence,
  reviewUnanswered,
  sealPacket,
} from "./activity.ts";
import type { AmneziaParameters } from "./amnezia.ts";
import { takeConfirmation, takeCookie, takeResponse } from "./answers.ts";
import { classify, type MessageFormat, MessageKind } from "./classify.ts";
import {
  type Arrival,
  DeviceContext,
  type DeviceCounters,
  type DeviceOptions,
  type DeviceOutput,
} from "./device_context.ts";
import { DevicePeers } from "./device_peers.ts";
import { retryHandshake, startHandshake } from "./initiator.ts";
import type { LoadMode } from "./load_meter.ts";
import { INITIATION_MAC1_AT, RESPONSE_MAC1_AT } from "./messages.ts";
import type { Peer } from "./peer.ts";
import {
  dropSessions,
  expireSessions,
  hasUsableSession,
  reviewSessionAge,
} from "./peer_sessions.ts";
import { PeerEvent } from "./peer_table.ts";
import { admit, takeInitiation } from "./responder.ts";
import { type TimerConstants, TimerKind } from "./timers.ts";

/** See the module header. */
export class Device {
  /** Its peers: adding, changing, removing them. */
  readonly peers: DevicePeers;
  readonly #context: DeviceContext;

  constructor(options: DeviceOptions) {
    this.#context = new DeviceContext(options);
    this.peers = new DevicePeers(this.#context);
  }

  /** Our public key. */
  get publicKey(): Uint8Array {
    return this.#context.keys.publicKey;
  }

  /** Our private key; for `wg showconf`. */
  get privateKey(): Uint8Array {
    return this.#context.keys.privateKey;
  }

  /** The outside of the messages; workers classify and prefix by it. */
  get format(): MessageFormat {
    return this.#context.format;
  }

  /** What was seen so far. */
  get counters(): Readonly<DeviceCounters> {
    return this.#context.counters;
  }

  /** Packets that wait for a session, and those dropped while they did. */
  get staged(): { waiting: number; dropped: number } {
    return {
      waiting: this.#context.staging.total,
      dropped: this.#context.staging.dropped,
    };
  }

  /** Lengths of the timers; workers refuse sessions by `rejectAfterMs`. */
  get timers(): TimerConstants {
    return this.#context.constants;
  }

  /** Decides the under-load state by rule instead of by measurement. */
  setLoadMode(mode: LoadMode): void {
    this.#context.load.mode = mode;
  }

  /**
   * Changes our private key: all sessions end.
   * @throws TypeError where it has not 32 bytes.
   */
  setPrivateKey(privateKey: Uint8Array, now: number): void {
    this.#context.setKeys(privateKey);
    for (const peer of this.#context.byKey.values()) {
      dropSessions(this.#context, peer);
      peer.forgetLocalKey();
      this.#context.timers.clear(peer.index, TimerKind.Retry);
      peer.handshakeSentAt = -Infinity;
      if (
        peer.persistentKeepaliveMs > 0 || this.#context.staging.has(peer.index)
      ) {
        startHandshake(this.#context, peer, now);
      }
    }
  }

  /** Changes AmneziaWG's parameters, which must be valid. */
  setAmnezia(parameters: AmneziaParameters): void {
    this.#context.setAmnezia(parameters);
  }

  /**
   * Takes a handshake message or cookie reply; keeps nothing of `bytes`.
   * @returns None where it was accepted, else why not.
   */
  handleDatagram(
    bytes: Uint8Array,
    remote: AddressWords,
    port: number,
    now: number,
  ): DropReason {
    const context = this.#context;
    const kind = classify(bytes, 0, bytes.length, context.format);
    if (kind === MessageKind.None || kind === MessageKind.Transport) {
      return DropReason.NotWireGuard;
    }
    const message = bytes.slice(context.format.prefix[kind - 1]);
    if (kind === MessageKind.Cookie) return takeCookie(context, message, now);
    const arrival: Arrival = { remote, port, length: bytes.length, now };
    const initiation = kind === MessageKind.Initiation;
    const mac1At = initiation ? INITIATION_MAC1_AT : RESPONSE_MAC1_AT;
    const refusal = admit(context, message, mac1At, arrival);
    if (refusal !== DropReason.None) return refusal;
    return initiation
      ? takeInitiation(context, message, arrival)
      : takeResponse(context, message, arrival);
  }

  /**
   * Takes the flags that a worker rang for; looks at those in the table too, so
   * that one ring may stand for many.
   */
  handlePeerEvents(row: number, flags: PeerEvent, now: number): void {
    const context = this.#context;
    const { peers } = context;
    const peer = context.byIndex[row];
    if (peer === undefined) return;
    const events = flags | Atomics.load(peers.events, row);
    peers.withdrawPeerEvent(
      row,
      PeerEvent.SessionConfirmed | PeerEvent.EndpointChanged |
        PeerEvent.KeepaliveReceived,
    );
    if ((events & PeerEvent.SessionConfirmed) !== 0) {
      takeConfirmation(context, peer, now);
    }
    if ((events & PeerEvent.NeedSession) !== 0) {
      if (hasUsableSession(context, peer, now)) {
        peers.withdrawPeerEvent(row, PeerEvent.NeedSession);
      } else startHandshake(context, peer, now);
    }
    if ((events & PeerEvent.DataSent) !== 0) noteDataSent(context, peer, now);
    const received = PeerEvent.DataReceived | PeerEvent.KeepaliveReceived;
    if ((events & received) !== 0) noteReceived(context, peer, events, now);
  }

  /**
   * Starts a handshake with a peer although it may have a usable session: the
   * way there may be another one. Not before the last one had its time.
   */
  handshake(row: number, now: number): void {
    const context = this.#context;
    const peer = context.byIndex[row];
    if (peer !== undefined) startHandshake(context, peer, now);
  }

  /** Takes a whole IP packet for a peer that has no session to seal it with. */
  stagePacket(row: number, packet: Uint8Array, now: number): void {
    const context = this.#context;
    const peer = context.byIndex[row];
    if (peer === undefined) return;
    if (hasUsableSession(context, peer, now)) {
      sealPacket(context, peer, packet.slice(), now);
    } else {
      context.staging.add(row, packet);
      startHandshake(context, peer, now);
    }
  }

  /** The next thing to do, or undefined where there is none. */
  poll(): DeviceOutput | undefined {
    return this.#context.poll();
  }

  /** When handleTimeout wants to be called, ms; Infinity: not at all. */
  nextTimeout(): number {
    return this.#context.timers.next();
  }

  /** Does what is due. */
  handleTimeout(now: number): void {
    for (;;) {
      const due = this.#context.timers.popDue(now);
      if (due === undefined) return;
      const peer = this.#context.byIndex[due.peer];
      if (peer !== undefined) this.#handleTimer(peer, due.kind, now);
    }
  }

  #handleTimer(peer: Peer, kind: TimerKind, now: number): void {
    const context = this.#context;
    switch (kind) {
      case TimerKind.Retry:
        return retryHandshake(context, peer, now);
      case TimerKind.Keepalive:
        return reviewOwed(context, peer, now);
      case TimerKind.Unanswered:
        return reviewUnanswered(context, peer, now);
      case TimerKind.PersistentKeepalive:
        return reviewSilence(context, peer, now);
      case TimerKind.Rekey:
        return reviewSessionAge(context, peer, now);
      case TimerKind.Expire:
        return expireSessions(context, peer, now);
      case TimerKind.Erase:
        return dropSessions(context, peer);
    }
  }
}
