/** The provider of the WASM kernels: the fastest for small packets, and there everywhere. */
import type { Kernels } from "../kernels/kernels.ts";
import { KEY_LENGTH, type PacketAead } from "./packet_aead.ts";

/** Seals and opens by the kernels, in their own arena. */
export class WasmAead implements PacketAead {
  readonly name = "wasm";
  readonly #kernels: Kernels;
  readonly #bytes: Uint8Array;
  readonly #sealKeyAt: number;
  readonly #openKeyAt: number;

  constructor(kernels: Kernels) {
    this.#kernels = kernels;
    this.#bytes = kernels.bytes;
    this.#sealKeyAt = kernels.keysAt;
    this.#openKeyAt = kernels.keysAt + KEY_LENGTH;
  }

  sealWith(key: Uint8Array): void {
    this.#bytes.set(key, this.#sealKeyAt);
  }

  openWith(key: Uint8Array): void {
    this.#bytes.set(key, this.#openKeyAt);
  }

  seal(counter: number, at: number, length: number): void {
    this.#kernels.seal(
      this.#sealKeyAt,
      counter | 0,
      (counter / 0x1_0000_0000) | 0,
      at,
      length,
    );
  }

  open(counter: number, at: number, length: number): boolean {
    return this.#kernels.open(
      this.#openKeyAt,
      counter | 0,
      (counter / 0x1_0000_0000) | 0,
      at,
      length,
    ) === 1;
  }
}
