/** {@linkcode NoisePrimitives} by the audited, portable noble libraries. */
import { chacha20poly1305, xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { blake2s } from "@noble/hashes/blake2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { writeU32le } from "../wire/bytes.ts";
import type { NoisePrimitives } from "./primitives.ts";

/** The portable implementation; runs everywhere. */
export const noblePrimitives: NoisePrimitives = {
  publicKey: (privateKey) => x25519.getPublicKey(privateKey),
  x25519(privateKey, publicKey) {
    try {
      return x25519.getSharedSecret(privateKey, publicKey);
    } catch {
      // noble throws where the result is all zeros: a point of low order.
      return undefined;
    }
  },
  hash: (a, b) => blake2s.create({}).update(a).update(b).digest(),
  hmac: (key, message) => hmac(blake2s, key, message),
  mac: (key, message) => blake2s(message, { key, dkLen: 16 }),
  seal: (key, counter, plaintext, additional) =>
    chacha20poly1305(key, counterNonce(counter), additional).encrypt(plaintext),
  open: (key, counter, sealed, additional) =>
    attempt(() =>
      chacha20poly1305(key, counterNonce(counter), additional).decrypt(sealed)
    ),
  sealExtended: (key, nonce, plaintext, additional) =>
    xchacha20poly1305(key, nonce, additional).encrypt(plaintext),
  openExtended: (key, nonce, sealed, additional) =>
    attempt(() => xchacha20poly1305(key, nonce, additional).decrypt(sealed)),
};

function counterNonce(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  writeU32le(nonce, 4, counter % 2 ** 32);
  writeU32le(nonce, 8, Math.floor(counter / 2 ** 32));
  return nonce;
}

/** noble throws on a wrong tag and on an input shorter than one. */
function attempt(open: () => Uint8Array): Uint8Array | undefined {
  try {
    return open();
  } catch {
    return undefined;
  }
}
