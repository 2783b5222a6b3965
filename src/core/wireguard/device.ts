/**
 * The control machine of a WireGuard interface: handshakes in both roles,
 * timers, cookies, peers. Sans-I/O: datagrams, events and the time go in;
 * datagrams to send and packets to seal come out of {@linkcode Device.poll}.
 *
 * Transport data never passes through here. Workers open and seal it with the
 * shared tables, and hand over what they cannot decide: handshake messages
 * (handleDatagram), packets without a session (stagePacket), and the flags of
 * PeerTable (handlePeerEvents). After each call, poll until it gives nothing
 * and ask nextTimeout anew.
 */
import type { AddressWords, Prefix } from "../wire/address.ts";
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
import { retryHandshake, startHandshake } from "./initiator.ts";
import type { LoadMode } from "./load_meter.ts";
import { INITIATION_MAC1_AT, RESPONSE_MAC1_AT } from "./messages.ts";
import {
  Peer,
  type PeerInfo,
  type PeerMemory,
  type PeerSettings,
} from "./peer.ts";
import {
  dropSessions,
  expireSessions,
  hasUsableSession,
  reviewSessionAge,
} from "./peer_sessions.ts";
import { PeerEvent } from "./peer_table.ts";
import { admit, keyText, takeInitiation } from "./responder.ts";
import { type TimerConstants, TimerKind } from "./timers.ts";

export type {
  DeviceCounters,
  DeviceOptions,
  DeviceOutput,
} from "./device_context.ts";

/** See the module header. */
export class Device {
  readonly #context: DeviceContext;
  /** Rows of the peer table that are free, the longest free first. */
  readonly #freeRows: number[] = [];

  constructor(options: DeviceOptions) {
    this.#context = new DeviceContext(options);
    for (let row = 0; row < options.peers.capacity; row++) {
      this.#freeRows.push(row);
    }
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
   * Adds a peer.
   * @returns its row in the peer table.
   * @throws TypeError where the key has not 32 bytes, RangeError where there is
   * such a peer already or the table is full.
   */
  addPeer(
    publicKey: Uint8Array,
    options: PeerSettings & { memory?: PeerMemory; now: number },
  ): number {
    const context = this.#context;
    if (publicKey.length !== 32) {
      throw new TypeError("a public key has 32 bytes");
    }
    if (context.byKey.has(keyText(publicKey))) {
      throw new RangeError("the peer exists already");
    }
    const row = this.#freeRows.shift();
    if (row === undefined) {
      throw new RangeError(
        `no room for more than ${context.peers.capacity} peers`,
      );
    }
    const peer = new Peer(context.crypto, row, publicKey);
    if (options.memory !== undefined) {
      peer.receivedTimestamp.set(options.memory.receivedTimestamp);
      peer.sentTicks = options.memory.sentTicks;
    }
    context.peers.add(row);
    context.byIndex[row] = peer;
    context.byKey.set(keyText(publicKey), peer);
    this.updatePeer(row, options, options.now);
    return row;
  }

  /** Changes what is given of a peer's settings. */
  updatePeer(row: number, settings: PeerSettings, now: number): void {
    const peer = this.#peer(row);
    const { endpoint, presharedKey, persistentKeepaliveMs: interval } =
      settings;
    if (presharedKey !== undefined) peer.presharedKey.set(presharedKey);
    if (
      endpoint !== undefined &&
      this.#context.peers.setEndpoint(row, endpoint.words, 0, endpoint.port) &&
      this.#context.timers.isSet(row, TimerKind.Retry)
    ) {
      // A handshake runs towards the old endpoint, or waits for this one.
      this.#context.timers.clear(row, TimerKind.Retry);
      startHandshake(this.#context, peer, now);
    }
    if (interval !== undefined && interval !== peer.persistentKeepaliveMs) {
      peer.persistentKeepaliveMs = interval;
      if (interval > 0) {
        this.#context.timers.set(row, TimerKind.PersistentKeepalive, now);
      } else this.#context.timers.clear(row, TimerKind.PersistentKeepalive);
    }
  }

  /** Removes a peer with its sessions, keys and allowed IPs. */
  removePeer(row: number): void {
    const context = this.#context;
    const peer = this.#peer(row);
    context.allowedIps.remove(row);
    dropSessions(context, peer);
    context.timers.clearAll(row);
    context.staging.drop(row);
    context.peers.remove(row);
    peer.forgetLocalKey();
    peer.presharedKey.fill(0);
    context.byKey.delete(keyText(peer.publicKey));
    context.byIndex[row] = undefined;
    this.#freeRows.push(row);
  }

  /** The row of the peer with this key, or -1. */
  peerOf(publicKey: Uint8Array): number {
    return this.#context.byKey.get(keyText(publicKey))?.index ?? -1;
  }

  /** The rows of all peers, in the order in which they were added. */
  rows(): number[] {
    return Array.from(this.#context.byKey.values(), (peer) => peer.index);
  }

  /** Gives a prefix to a peer. @returns false where the trie is full. */
  allow(row: number, prefix: Prefix): boolean {
    this.#peer(row);
    return this.#context.allowedIps.insert(
      prefix.words,
      trieLength(prefix),
      row,
    );
  }

  /** Takes a prefix from a peer. @returns false where it did not have it. */
  disallow(row: number, prefix: Prefix): boolean {
    return this.#context.allowedIps.removePrefix(
      prefix.words,
      trieLength(prefix),
      row,
    );
  }

  /** Takes all prefixes from a peer. */
  disallowAll(row: number): void {
    this.#context.allowedIps.remove(row);
  }

  /** What is known of a peer. */
  info(row: number): PeerInfo {
    const peer = this.#peer(row);
    const { peers, allowedIps } = this.#context;
    const words = new Int32Array(4);
    const port = peers.readEndpoint(row, words, 0);
    return {
      peer: row,
      publicKey: peer.publicKey,
      presharedKey: peer.presharedKey,
      endpoint: port === 0 ? undefined : { words, port },
      lastHandshakeWallMs: peer.lastHandshakeWallMs,
      traffic: peers.traffic(row),
      persistentKeepaliveMs: peer.persistentKeepaliveMs,
      allowedIps: allowedIps.prefixesOf(row).map(({ words, length }) => {
        const mapped = length >= 96 && words[0] === 0 && words[1] === 0 &&
          words[2] === 0xffff;
        return mapped
          ? { family: 4, words, length: length - 96 }
          : { family: 6, words, length };
      }),
    };
  }

  /** What of a peer must outlive a restart. */
  memory(row: number): PeerMemory {
    const peer = this.#peer(row);
    return {
      receivedTimestamp: peer.receivedTimestamp.slice(),
      sentTicks: peer.sentTicks,
    };
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

  #peer(row: number): Peer {
    const peer = this.#context.byIndex[row];
    if (peer === undefined) throw new RangeError(`no peer in row ${row}`);
    return peer;
  }
}

/** A prefix's length in the trie's space, in which IPv4 is v4-mapped. */
function trieLength(prefix: Prefix): number {
  return prefix.family === 4 ? prefix.length + 96 : prefix.length;
}
