/**
 * The MACs of handshake messages and the cookies that protect a busy responder
 * (WireGuard paper, sections 5.3, 5.4.4 and 5.4.7).
 *
 * mac1 proves that the sender knows the receiver's public key. A busy receiver
 * asks for mac2 too: it answers with a cookie, a MAC of the sender's address
 * under a secret that changes every 120 s, so that only who receives at that
 * address can have it.
 */
import { type AddressWords, writeWords } from "../wire/address.ts";
import { writeU16be, writeU32le } from "../wire/bytes.ts";
import {
  COOKIE_LENGTH,
  COOKIE_NONCE_AT,
  COOKIE_RECEIVER_AT,
  COOKIE_SEALED_AT,
  TAG_LENGTH,
} from "./messages.ts";
import {
  equalBytes,
  type NoisePrimitives,
  type RandomFill,
} from "./primitives.ts";

const encoder = new TextEncoder();
const LABEL_MAC1 = encoder.encode("mac1----");
const LABEL_COOKIE = encoder.encode("cookie--");

export const MAC_LENGTH = 16;
const COOKIE_SIZE = 16;

/** The two keys that follow from a public key. */
export interface MacKeys {
  /** For the mac1 of messages to the key's owner. */
  readonly mac1: Uint8Array;
  /** For cookies from the key's owner. */
  readonly cookie: Uint8Array;
}

/** The keys for messages to, and cookies from, the owner of a public key. */
export function macKeys(
  crypto: NoisePrimitives,
  publicKey: Uint8Array,
): MacKeys {
  return {
    mac1: crypto.hash(LABEL_MAC1, publicKey),
    cookie: crypto.hash(LABEL_COOKIE, publicKey),
  };
}

/** True where the mac1 at `mac1At` fits the bytes before it. */
export function checkMac1(
  crypto: NoisePrimitives,
  keys: MacKeys,
  message: Uint8Array,
  mac1At: number,
): boolean {
  const expected = crypto.mac(keys.mac1, message.subarray(0, mac1At));
  return equalBytes(expected, message.subarray(mac1At, mac1At + MAC_LENGTH));
}

/** What the sender of handshake messages keeps for one peer. */
export class CookieJar {
  readonly #mac1Sent = new Uint8Array(MAC_LENGTH);
  #sent = false;
  #cookie: Uint8Array | undefined;
  #cookieAt = 0;

  /**
   * Fills both MACs of a message; mac2 stays zero without a fresh cookie.
   * @param keys of the receiver.
   * @param lifetimeMs of a cookie.
   */
  writeMacs(
    crypto: NoisePrimitives,
    keys: MacKeys,
    message: Uint8Array,
    options: { mac1At: number; now: number; lifetimeMs: number },
  ): void {
    const { mac1At } = options;
    const mac2At = mac1At + MAC_LENGTH;
    const mac1 = crypto.mac(keys.mac1, message.subarray(0, mac1At));
    message.set(mac1, mac1At);
    this.#mac1Sent.set(mac1);
    this.#sent = true;
    if (
      this.#cookie !== undefined &&
      options.now - this.#cookieAt >= options.lifetimeMs
    ) {
      this.#cookie = undefined;
    }
    if (this.#cookie !== undefined) {
      message.set(
        crypto.mac(this.#cookie, message.subarray(0, mac2At)),
        mac2At,
      );
    }
  }

  /**
   * Takes the cookie out of a cookie reply to the last message sent.
   * @param keys of the replier.
   * @returns false where it is not authentic or no message waits for one.
   */
  readReply(
    crypto: NoisePrimitives,
    keys: MacKeys,
    reply: Uint8Array,
    now: number,
  ): boolean {
    if (!this.#sent) return false;
    const nonce = reply.subarray(COOKIE_NONCE_AT, COOKIE_SEALED_AT);
    const sealed = reply.subarray(COOKIE_SEALED_AT, COOKIE_LENGTH);
    const cookie = crypto.openExtended(
      keys.cookie,
      nonce,
      sealed,
      this.#mac1Sent,
    );
    if (cookie === undefined || cookie.length !== COOKIE_SIZE) return false;
    this.#cookie = cookie;
    this.#cookieAt = now;
    this.#sent = false;
    return true;
  }

  /** Forgets everything. */
  clear(): void {
    this.#cookie?.fill(0);
    this.#cookie = undefined;
    this.#sent = false;
  }
}

/** What a busy receiver of handshake messages keeps: one secret for all. */
export class CookieMaker {
  readonly #crypto: NoisePrimitives;
  readonly #random: RandomFill;
  readonly #lifetimeMs: number;
  readonly #secret = new Uint8Array(32);
  #secretAt = -Infinity;

  constructor(crypto: NoisePrimitives, random: RandomFill, lifetimeMs: number) {
    this.#crypto = crypto;
    this.#random = random;
    this.#lifetimeMs = lifetimeMs;
  }

  /** True where mac2 was made with the cookie that this sender was given. */
  checkMac2(
    message: Uint8Array,
    options: {
      mac1At: number;
      remote: AddressWords;
      port: number;
      now: number;
    },
  ): boolean {
    // A secret that has had its time is replaced only when a cookie is asked for.
    if (options.now - this.#secretAt >= this.#lifetimeMs) return false;
    const mac2At = options.mac1At + MAC_LENGTH;
    const cookie = this.#cookie(options.remote, options.port);
    const expected = this.#crypto.mac(cookie, message.subarray(0, mac2At));
    return equalBytes(expected, message.subarray(mac2At, mac2At + MAC_LENGTH));
  }

  /**
   * Makes a cookie reply.
   * @param keys of ourselves.
   * @param message the message answered; `receiver` is its sender's index.
   */
  createReply(
    keys: MacKeys,
    message: Uint8Array,
    options: {
      type: number;
      receiver: number;
      mac1At: number;
      remote: AddressWords;
      port: number;
      now: number;
    },
  ): Uint8Array {
    if (options.now - this.#secretAt >= this.#lifetimeMs) {
      this.#random(this.#secret);
      this.#secretAt = options.now;
    }
    const reply = new Uint8Array(COOKIE_LENGTH);
    writeU32le(reply, 0, options.type);
    writeU32le(reply, COOKIE_RECEIVER_AT, options.receiver);
    const nonce = reply.subarray(COOKIE_NONCE_AT, COOKIE_SEALED_AT);
    this.#random(nonce);
    const mac1 = message.subarray(options.mac1At, options.mac1At + TAG_LENGTH);
    const cookie = this.#cookie(options.remote, options.port);
    reply.set(
      this.#crypto.sealExtended(keys.cookie, nonce, cookie, mac1),
      COOKIE_SEALED_AT,
    );
    return reply;
  }

  #cookie(remote: AddressWords, port: number): Uint8Array {
    const source = new Uint8Array(18);
    writeWords(source, 0, remote, 0);
    writeU16be(source, 16, port);
    return this.#crypto.mac(this.#secret, source);
  }
}
