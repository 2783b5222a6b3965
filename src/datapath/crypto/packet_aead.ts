/**
 * What seals and opens transport messages: ChaCha20-Poly1305 (RFC 8439 2.8)
 * without associated data over bytes of the worker's arena.
 *
 *     | text (length) | tag (16) |
 *     ^ at
 *
 * The nonce is 4 zero bytes and the counter as a little-endian 64-bit number.
 */

import { writeU32le } from "../../core/wire/bytes.ts";

/** Bytes of the tag behind a sealed text. */
export const TAG_LENGTH = 16;
/** Bytes of a key. */
export const KEY_LENGTH = 32;

/** A provider over one arena; used by one thread. */
export interface PacketAead {
  /** For the start line: "wasm", "libcrypto". */
  readonly name: string;
  /**
   * Takes the key of what is sealed from now on.
   * @param key 32 bytes; may lie in shared memory, and is read at latest by the
   * next {@linkcode seal}.
   */
  sealWith(key: Uint8Array): void;
  /** Takes the key of what is opened from now on, as {@linkcode sealWith}. */
  openWith(key: Uint8Array): void;
  /**
   * Encrypts `length` bytes at `at` in place and writes the tag behind them.
   * @param counter an integer from 0 to 2^53 - 1.
   */
  seal(counter: number, at: number, length: number): void;
  /**
   * Checks the tag behind `length` bytes and decrypts them in place.
   * @returns false where key, counter, text or tag is not what was sealed; the
   *   text is then worthless.
   */
  open(counter: number, at: number, length: number): boolean;
}

/** Writes a counter as the nonce's last 8 bytes, from `at`. */
export function writeCounter(
  nonce: Uint8Array,
  at: number,
  counter: number,
): void {
  writeU32le(nonce, at, counter >>> 0);
  writeU32le(nonce, at + 4, (counter / 0x1_0000_0000) >>> 0);
}
