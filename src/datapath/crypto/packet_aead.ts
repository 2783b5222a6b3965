/**
 * What seals and opens transport messages: ChaCha20-Poly1305 (RFC 8439 2.8)
 * without associated data over bytes of the worker's arena.
 *
 *     | text (length) | tag (16) |
 *     ^ at
 *
 * The nonce is 4 zero bytes and the counter as a little-endian 64-bit number.
 */

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

/** Writes the nonce of a counter to 12 bytes. */
export function writeNonce(nonce: Uint8Array, counter: number): void {
  const low = counter >>> 0, high = (counter / 0x1_0000_0000) >>> 0;
  nonce[4] = low;
  nonce[5] = low >>> 8;
  nonce[6] = low >>> 16;
  nonce[7] = low >>> 24;
  nonce[8] = high;
  nonce[9] = high >>> 8;
  nonce[10] = high >>> 16;
  nonce[11] = high >>> 24;
}
