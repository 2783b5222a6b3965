/** What the control thread alone knows of a peer. */
import type { Prefix } from "../wire/address.ts";
import { CookieJar, type MacKeys, macKeys } from "./cookie.ts";
import { erase, type InitiatorState, type KeyPair } from "./noise.ts";
import type { PeerTraffic } from "./peer_table.ts";
import type { NoisePrimitives } from "./primitives.ts";
import { TIMESTAMP_LENGTH } from "./tai64n.ts";

/** Where a peer is reached. */
export interface PeerEndpoint {
  /** 4 address words. */
  readonly words: Int32Array | Uint32Array;
  readonly port: number;
}

/** What may be changed of a peer while it is in use. */
export interface PeerSettings {
  /** 32 bytes; 32 zeros stand for none. */
  readonly presharedKey?: Uint8Array;
  readonly endpoint?: PeerEndpoint;
  /** 0 turns it off. */
  readonly persistentKeepaliveMs?: number;
}

/** What of a peer must outlive a restart, so that no initiation can be replayed. */
export interface PeerMemory {
  /** The greatest timestamp received, 12 bytes of TAI64N. */
  readonly receivedTimestamp: Uint8Array;
  /** The last timestamp sent, in ticks (see tai64n). */
  readonly sentTicks: number;
}

/** A peer, as the user is shown it. */
export interface PeerInfo {
  readonly peer: number;
  readonly publicKey: Uint8Array;
  /** 32 zeros: none. */
  readonly presharedKey: Uint8Array;
  readonly endpoint: PeerEndpoint | undefined;
  /** Unix time of the newest handshake, ms; 0: none. */
  readonly lastHandshakeWallMs: number;
  readonly traffic: PeerTraffic;
  readonly persistentKeepaliveMs: number;
  readonly allowedIps: readonly Prefix[];
}

/** An initiation of ours that waits for its response. */
export interface PendingInitiation {
  /** The reserved slot of the session table. */
  readonly slot: number;
  readonly state: InitiatorState;
}

/** See the module header. Rows, sessions and deadlines are elsewhere. */
export class Peer {
  readonly index: number;
  readonly publicKey: Uint8Array;
  readonly presharedKey = new Uint8Array(32);
  /** For messages to the peer and cookies from it. */
  readonly macKeys: MacKeys;
  readonly cookies = new CookieJar();
  pending: PendingInitiation | undefined;
  persistentKeepaliveMs = 0;
  /** When the row of attempts that runs now began, ms. */
  attemptStartedAt = 0;
  /** When an initiation or a response was last sent, ms. */
  handshakeSentAt = -Infinity;
  /** When an initiation was last accepted, ms. */
  initiationReceivedAt = -Infinity;
  lastHandshakeWallMs = 0;
  /** The greatest timestamp received. */
  readonly receivedTimestamp = new Uint8Array(TIMESTAMP_LENGTH);
  /** The last timestamp sent, in ticks. */
  sentTicks = 0;
  #staticShared: Uint8Array | undefined;

  constructor(crypto: NoisePrimitives, index: number, publicKey: Uint8Array) {
    this.index = index;
    this.publicKey = publicKey.slice();
    this.macKeys = macKeys(crypto, this.publicKey);
  }

  /**
   * DH of both static keys, made when it is first needed.
   * @returns undefined where the peer's key is no usable point.
   */
  staticShared(
    crypto: NoisePrimitives,
    local: KeyPair,
  ): Uint8Array | undefined {
    this.#staticShared ??= crypto.x25519(local.privateKey, this.publicKey);
    return this.#staticShared;
  }

  /** Forgets what follows from our static key. */
  forgetLocalKey(): void {
    this.#staticShared?.fill(0);
    this.#staticShared = undefined;
    this.cookies.clear();
  }

  /** Erases the pending handshake. @returns the slot it had reserved, or -1. */
  clearPending(): number {
    const pending = this.pending;
    if (pending === undefined) return -1;
    erase(
      pending.state.chain,
      pending.state.hash,
      pending.state.ephemeralPrivate,
    );
    this.pending = undefined;
    return pending.slot;
  }
}

/** The form in which keys are looked up. */
export function keyText(key: Uint8Array): string {
  let text = "";
  for (let i = 0; i < key.length; i++) text += String.fromCharCode(key[i]);
  return text;
}
