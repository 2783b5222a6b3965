/** The sums of checksums by the WASM kernels, several times as fast as core's own. */
import { type Sum, sum } from "../core/wire/checksum.ts";
import type { Kernels } from "./kernels/kernels.ts";

/** Below so many bytes the call costs more than it saves. */
const SHORT = 32;

/** Adds up ranges of the kernels' arena by them, and what is short or elsewhere by `sum`. */
export function kernelSum(kernels: Kernels): Sum {
  const { bytes, checksumSum } = kernels;
  return (b, at, length, initial) =>
    b === bytes && length >= SHORT
      ? initial + checksumSum(at, length)
      : sum(b, at, length, initial);
}
