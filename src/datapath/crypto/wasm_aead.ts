/** The provider of the WASM kernels: the fastest for small packets, and there everywhere. */
import type { Kernels } from "../kernels/kernels.ts";
import type { PacketAead } from "./packet_aead.ts";

/** Seals and opens by the kernels, in their own arena. */
export class WasmAead implements PacketAead {
  readonly name = "wasm";
  readonly #kernels: Kernels;
  readonly #bytes: Uint8Array;
  readonly #keyAt: number;

  constructor(kernels: Kernels) {
    this.#kernels = kernels;
    this.#bytes = kernels.bytes;
    this.#keyAt = kernels.keyAt;
  }

  seal(key: Uint8Array, counter: number, at: number, length: number): void {
    this.#bytes.set(key, this.#keyAt);
    this.#kernels.seal(
      this.#keyAt,
      counter | 0,
      (counter / 0x1_0000_0000) | 0,
      at,
      length,
    );
  }

  open(key: Uint8Array, counter: number, at: number, length: number): boolean {
    this.#bytes.set(key, this.#keyAt);
    return this.#kernels.open(
      this.#keyAt,
      counter | 0,
      (counter / 0x1_0000_0000) | 0,
      at,
      length,
    ) === 1;
  }
}
