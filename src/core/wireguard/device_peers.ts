/**
 * The peers of a device: adding, changing and removing them, the prefixes that
 * are theirs, what is shown and kept of them. Changes begin handshakes where
 * some wait for them, so poll the device after each.
 *
 * A peer is known by its row in the peer table, which stays its own until it is
 * removed.
 */
import type { Prefix } from "../wire/address.ts";
import type { DeviceContext } from "./device_context.ts";
import { startHandshake } from "./initiator.ts";
import {
  keyText,
  Peer,
  type PeerInfo,
  type PeerMemory,
  type PeerSettings,
} from "./peer.ts";
import { dropSessions } from "./peer_sessions.ts";
import { TimerKind } from "./timers.ts";

/** See the module header. */
export class DevicePeers {
  readonly #context: DeviceContext;
  /** Rows of the peer table that are free, the longest free first. */
  readonly #freeRows: number[] = [];

  constructor(context: DeviceContext) {
    this.#context = context;
    for (let row = 0; row < context.peers.capacity; row++) {
      this.#freeRows.push(row);
    }
  }

  /**
   * Adds a peer.
   * @returns its row in the peer table.
   * @throws TypeError where the key has not 32 bytes, RangeError where there is
   * such a peer already or the table is full.
   */
  add(
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
    this.update(row, options, options.now);
    return row;
  }

  /** Changes what is given of a peer's settings. */
  update(row: number, settings: PeerSettings, now: number): void {
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
  remove(row: number): void {
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
  rowOf(publicKey: Uint8Array): number {
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
