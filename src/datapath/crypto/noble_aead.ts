/** The slow, plain provider: noble's ChaCha20-Poly1305, against which the others are tested. */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { type PacketAead, TAG_LENGTH, writeNonce } from "./packet_aead.ts";

/** Seals and opens by noble; allocates for each packet. */
export class NobleAead implements PacketAead {
  readonly name = "noble";
  readonly #bytes: Uint8Array;

  constructor(arena: Uint8Array) {
    this.#bytes = arena;
  }

  seal(key: Uint8Array, counter: number, at: number, length: number): void {
    const sealed = cipher(key, counter).encrypt(
      this.#bytes.slice(at, at + length),
    );
    this.#bytes.set(sealed, at);
  }

  open(key: Uint8Array, counter: number, at: number, length: number): boolean {
    try {
      const sealed = this.#bytes.slice(at, at + length + TAG_LENGTH);
      this.#bytes.set(cipher(key, counter).decrypt(sealed), at);
      return true;
    } catch {
      return false; // noble's way to say that the tag is wrong
    }
  }
}

function cipher(
  key: Uint8Array,
  counter: number,
): ReturnType<typeof chacha20poly1305> {
  const nonce = new Uint8Array(12);
  writeNonce(nonce, counter);
  return chacha20poly1305(key.slice(), nonce);
}
