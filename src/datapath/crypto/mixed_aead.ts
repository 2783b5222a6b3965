/** Two providers by size: an FFI call costs too much for a small packet. */
import type { PacketAead } from "./packet_aead.ts";

/**
 * Up to this many bytes of text the WASM kernels are faster than libcrypto,
 * whose calls cost most of its time then (tests/bench/crypto_bench.ts).
 */
export const SMALL_TEXT = 128;

/** Gives texts of up to {@linkcode SMALL_TEXT} bytes to one provider and the others to another. */
export class MixedAead implements PacketAead {
  readonly name: string;
  readonly #small: PacketAead;
  readonly #large: PacketAead;

  constructor(small: PacketAead, large: PacketAead) {
    this.name = `${small.name} up to ${SMALL_TEXT} bytes, ${large.name} above`;
    this.#small = small;
    this.#large = large;
  }

  sealWith(key: Uint8Array): void {
    this.#small.sealWith(key);
    this.#large.sealWith(key);
  }

  openWith(key: Uint8Array): void {
    this.#small.openWith(key);
    this.#large.openWith(key);
  }

  seal(counter: number, at: number, length: number): void {
    if (length <= SMALL_TEXT) this.#small.seal(counter, at, length);
    else this.#large.seal(counter, at, length);
  }

  open(counter: number, at: number, length: number): boolean {
    return length <= SMALL_TEXT
      ? this.#small.open(counter, at, length)
      : this.#large.open(counter, at, length);
  }
}
