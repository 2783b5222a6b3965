/** The slow, plain provider: noble's ChaCha20-Poly1305, against which the others are tested. */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import {
  KEY_LENGTH,
  type PacketAead,
  TAG_LENGTH,
  writeCounter,
} from "./packet_aead.ts";

/** Seals and opens by noble; allocates for each packet. */
export class NobleAead implements PacketAead {
  readonly name = "noble";
  readonly #bytes: Uint8Array;
  #sealKey = new Uint8Array(KEY_LENGTH);
  #openKey = new Uint8Array(KEY_LENGTH);

  constructor(arena: Uint8Array) {
    this.#bytes = arena;
  }

  sealWith(key: Uint8Array): void {
    this.#sealKey = key.slice();
  }

  openWith(key: Uint8Array): void {
    this.#openKey = key.slice();
  }

  seal(counter: number, at: number, length: number): void {
    const sealed = cipher(this.#sealKey, counter).encrypt(
      this.#bytes.slice(at, at + length),
    );
    this.#bytes.set(sealed, at);
  }

  open(counter: number, at: number, length: number): boolean {
    try {
      const sealed = this.#bytes.slice(at, at + length + TAG_LENGTH);
      this.#bytes.set(cipher(this.#openKey, counter).decrypt(sealed), at);
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
  writeCounter(nonce, 4, counter);
  return chacha20poly1305(key, nonce);
}
