/**
 * The cryptography that handshakes and cookies need (WireGuard paper, section
 * 5.4), as an argument: any implementation will do, and a faster X25519 than
 * the portable one pays where many peers connect at once.
 *
 * Keys are 32 bytes. Nothing here throws on bytes from the network.
 */

/** See the module header. Every result is a new array. */
export interface NoisePrimitives {
  /** The X25519 public key (RFC 7748) of a private key. */
  publicKey(privateKey: Uint8Array): Uint8Array;
  /** The X25519 shared secret; undefined where it would be all zeros. */
  x25519(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
  /** BLAKE2s-256 (RFC 7693) of `a` followed by `b`. */
  hash(a: Uint8Array, b: Uint8Array): Uint8Array;
  /** HMAC (RFC 2104) with BLAKE2s-256. */
  hmac(key: Uint8Array, message: Uint8Array): Uint8Array;
  /** Keyed BLAKE2s with 16 bytes of output. */
  mac(key: Uint8Array, message: Uint8Array): Uint8Array;
  /** ChaCha20-Poly1305 (RFC 8439), nonce 4 zero bytes and the counter; tag appended. */
  seal(
    key: Uint8Array,
    counter: number,
    plaintext: Uint8Array,
    additional: Uint8Array,
  ): Uint8Array;
  /** The reverse of `seal`; undefined where it is not authentic. */
  open(
    key: Uint8Array,
    counter: number,
    sealed: Uint8Array,
    additional: Uint8Array,
  ): Uint8Array | undefined;
  /** XChaCha20-Poly1305 with a nonce of 24 bytes; tag appended. */
  sealExtended(
    key: Uint8Array,
    nonce: Uint8Array,
    plaintext: Uint8Array,
    additional: Uint8Array,
  ): Uint8Array;
  /** The reverse of `sealExtended`; undefined where it is not authentic. */
  openExtended(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    additional: Uint8Array,
  ): Uint8Array | undefined;
}

/** Fills an array with random bytes fit for keys. */
export type RandomFill = (bytes: Uint8Array) => void;

/** Compares two arrays of equal length in a time that does not depend on them. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}
