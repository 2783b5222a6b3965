/**
 * The WASM kernels: crypto, checksums, segmentation and coalescing over one
 * memory, the arena of a worker. Sources are in assembly/ (AssemblyScript);
 * `deno task kernels` builds kernels.wasm from them.
 *
 *     0           firstFree                         bytes.length
 *     | kernels'  | the worker's: packets, tables   |
 */
import type { PacketOffload } from "../../io/ports.ts";
import wasm from "./kernels.wasm" with { type: "bytes" };

const PAGE = 65536;
/** Room for the kernels' own tables; checked against what they say. */
const RESERVED = 4 * PAGE;
const KEY_LENGTH = 32;
/** A whole packet and two blocks of 64 bytes. */
export const SCRATCH_LENGTH = PAGE + 128;

/** What kernels.wasm exports. Addresses are offsets in the arena, lengths are bytes. */
export interface KernelFunctions extends PacketOffload {
  /**
   * ChaCha20-Poly1305 without associated data, in place; the 16-byte tag goes
   * behind the text. `key` is where the 32 key bytes are; nonce = 4 zero bytes
   * and the counter's low and high word.
   */
  seal(
    key: number,
    counterLow: number,
    counterHigh: number,
    at: number,
    length: number,
  ): void;
  /** The inverse; `length` without the tag. 0 where the tag is wrong: the text is then untouched. */
  open(
    key: number,
    counterLow: number,
    counterHigh: number,
    at: number,
    length: number,
  ): number;
  /** ChaCha20 of RFC 8439 2.4 from block `counter` on, in place; `nonce` is where its 12 bytes are. */
  chacha20(
    key: number,
    nonce: number,
    counter: number,
    at: number,
    length: number,
  ): void;
  /** Poly1305 of RFC 8439 2.5; 16 bytes to `tag`. */
  poly1305(key: number, at: number, length: number, tag: number): void;
  /** 32 bytes to `key`: those at `mixed` without what was at `over` before. */
  takeOneTimeKey(mixed: number, over: number, key: number): void;
  /** 1 where the 16 bytes at `a` and `b` are the same. */
  sameTag(a: number, b: number): number;
  /** Copies `length` bytes to a place that does not overlap. */
  copyText(to: number, from: number, length: number): void;
  /** The Internet checksum's sum of at most 512 KB, folded to 16 bits, not inverted. */
  checksumSum(at: number, length: number): number;
}

/** The kernels over their arena. */
export interface Kernels extends KernelFunctions {
  /** The whole memory; it never grows, so views of it stay valid. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The first byte that is the caller's, aligned to 64. */
  readonly firstFree: number;
  /** 64 bytes where a provider puts its keys: to seal and to open with. */
  readonly keysAt: number;
  /** {@linkcode SCRATCH_LENGTH} bytes for a provider's work on one packet. */
  readonly scratchAt: number;
}

/** How large the arena has to be. */
export interface KernelOptions {
  /** Bytes for the caller, counted from `firstFree`. */
  readonly arenaBytes: number;
}

/**
 * Makes an arena and the kernels over it; takes about a millisecond.
 * @throws WebAssembly.CompileError where the runtime has no SIMD, RangeError
 *   where the memory cannot be had.
 */
export function instantiateKernels(options: KernelOptions): Kernels {
  const pages = Math.ceil((options.arenaBytes + RESERVED) / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm), {
    env: { memory },
  });
  const exports = instance.exports as unknown as KernelFunctions & {
    firstFree(): number;
  };
  const keysAt = align64(exports.firstFree());
  const scratchAt = align64(keysAt + 2 * KEY_LENGTH);
  const firstFree = align64(scratchAt + SCRATCH_LENGTH);
  if (firstFree > RESERVED) {
    throw new RangeError(
      `kernels use ${firstFree} bytes, ${RESERVED} are reserved`,
    );
  }
  return {
    bytes: new Uint8Array(memory.buffer as ArrayBuffer),
    firstFree,
    keysAt,
    scratchAt,
    seal: exports.seal,
    open: exports.open,
    chacha20: exports.chacha20,
    poly1305: exports.poly1305,
    takeOneTimeKey: exports.takeOneTimeKey,
    sameTag: exports.sameTag,
    copyText: exports.copyText,
    checksumSum: exports.checksumSum,
    segment: exports.segment,
    coalesce: exports.coalesce,
  };
}

function align64(at: number): number {
  return (at + 63) & ~63;
}
