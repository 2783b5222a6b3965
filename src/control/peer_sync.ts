/**
 * Keeps a device's peers as a list says: what is new is added, what is gone
 * removed, what changed is changed, and everybody else is left alone. Peers
 * that came another way (`wg set`) stay.
 */
import { equalWords, type Prefix } from "../core/wire/address.ts";
import type { Device } from "../core/wireguard/device.ts";
import type { PeerEndpoint } from "../core/wireguard/peer.ts";
import type { PeerMemory } from "../core/wireguard/peer.ts";

/** A peer as it should be. */
export interface DesiredPeer {
  /** What logs call it. */
  readonly name: string;
  readonly publicKey: Uint8Array;
  /** Undefined is none. */
  readonly presharedKey: Uint8Array | undefined;
  readonly prefixes: readonly Prefix[];
  /** Where to reach it first; it may roam. */
  readonly endpoint: PeerEndpoint | undefined;
  /** 0 is off. */
  readonly persistentKeepaliveMs: number;
}

/** What a change of the list came to. */
export interface PeerChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** What the sync works with. */
export interface PeerSyncOptions {
  readonly device: Device;
  readonly now: () => number;
  /** Removes a peer with all that workers keep for it. */
  readonly removePeer: (row: number) => void;
  /** What is remembered of a peer from before a restart. */
  readonly memory: (publicKey: Uint8Array) => PeerMemory | undefined;
}

const NO_KEY = new Uint8Array(32);

/** One device and the list that it follows. */
export class PeerSync {
  readonly #options: PeerSyncOptions;
  #known = new Map<string, DesiredPeer>();
  /** Peers of the list that could not be made as it says; tried again next time. */
  #failed = new Set<string>();

  constructor(options: PeerSyncOptions) {
    this.#options = options;
  }

  /** The name of the peer in a row, where the list has one. */
  nameOf(row: number): string | undefined {
    for (const peer of this.#known.values()) {
      if (this.#options.device.peers.rowOf(peer.publicKey) === row) {
        return peer.name;
      }
    }
    return undefined;
  }

  /**
   * Makes the device follow a list.
   * @throws {RangeError} where the device has no room for a peer or a prefix;
   * what could be applied is applied.
   */
  apply(peers: readonly DesiredPeer[]): PeerChanges {
    const { device, removePeer } = this.#options;
    const desired = new Map(peers.map((peer) => [keyText(peer), peer]));
    const added: string[] = [], removed: string[] = [], changed: string[] = [];
    for (const [key, peer] of this.#known) {
      if (desired.has(key)) continue;
      const row = device.peers.rowOf(peer.publicKey);
      if (row >= 0) removePeer(row);
      removed.push(peer.name);
    }
    // Prefixes may move from one peer to another: all are taken, then given.
    for (const [key, peer] of desired) this.#takePrefixes(key, peer);
    const before = this.#known;
    const failedBefore = this.#failed;
    this.#known = desired;
    this.#failed = new Set();
    let failure: unknown;
    for (const [key, peer] of desired) {
      const known = failedBefore.has(key) ? undefined : before.get(key);
      if (known !== undefined && samePeer(known, peer)) continue;
      try {
        this.#put(known, peer);
        (before.has(key) ? changed : added).push(peer.name);
      } catch (error) {
        this.#failed.add(key);
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    return { added, removed, changed };
  }

  #takePrefixes(key: string, peer: DesiredPeer): void {
    const { device } = this.#options;
    const row = device.peers.rowOf(peer.publicKey);
    if (row < 0) return;
    for (const prefix of this.#known.get(key)?.prefixes ?? []) {
      if (!peer.prefixes.some((kept) => samePrefix(kept, prefix))) {
        device.peers.disallow(row, prefix);
      }
    }
  }

  /** Makes a peer as the list says, whether or not the device has it. */
  #put(known: DesiredPeer | undefined, peer: DesiredPeer): void {
    const { device, now, memory } = this.#options;
    const { publicKey, persistentKeepaliveMs } = peer;
    const presharedKey = peer.presharedKey ?? NO_KEY;
    let row = device.peers.rowOf(publicKey);
    if (row < 0) {
      row = device.peers.add(publicKey, {
        endpoint: peer.endpoint,
        presharedKey,
        persistentKeepaliveMs,
        memory: memory(publicKey),
        now: now(),
      });
    } else {
      // It may have roamed: only another address in the list moves it.
      const moved = !sameEndpoint(known?.endpoint, peer.endpoint);
      const endpoint = moved ? peer.endpoint : undefined;
      const settings = { presharedKey, persistentKeepaliveMs, endpoint };
      device.peers.update(row, settings, now());
    }
    this.#give(row, peer);
  }

  #give(row: number, peer: DesiredPeer): void {
    for (const prefix of peer.prefixes) {
      if (!this.#options.device.peers.allow(row, prefix)) {
        throw new RangeError(`no room for more prefixes, at peer ${peer.name}`);
      }
    }
  }
}

function keyText(peer: DesiredPeer): string {
  return peer.publicKey.join();
}

function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.family === b.family && a.length === b.length &&
    equalWords(a.words, 0, b.words, 0);
}

function sameEndpoint(
  a: PeerEndpoint | undefined,
  b: PeerEndpoint | undefined,
): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.port === b.port && equalWords(a.words, 0, b.words, 0);
}

function samePeer(a: DesiredPeer, b: DesiredPeer): boolean {
  const psk = (peer: DesiredPeer) => (peer.presharedKey ?? NO_KEY).join();
  return a.name === b.name && psk(a) === psk(b) &&
    a.persistentKeepaliveMs === b.persistentKeepaliveMs &&
    sameEndpoint(a.endpoint, b.endpoint) &&
    a.prefixes.length === b.prefixes.length &&
    a.prefixes.every((prefix, i) => samePrefix(prefix, b.prefixes[i]));
}
