/**
 * Sealing and opening by every provider, in ns a packet: rounds go through all
 * providers in turn (A B A B), the median of the rounds is printed.
 *
 *     deno run -A tests/bench/crypto_bench.ts
 */
import { openLibcrypto } from "../../ffi/libcrypto.ts";
import { LibcryptoAead } from "../../src/datapath/crypto/libcrypto_aead.ts";
import { MixedAead } from "../../src/datapath/crypto/mixed_aead.ts";
import { NobleAead } from "../../src/datapath/crypto/noble_aead.ts";
import type { PacketAead } from "../../src/datapath/crypto/packet_aead.ts";
import { WasmAead } from "../../src/datapath/crypto/wasm_aead.ts";
import { instantiateKernels } from "../../src/datapath/kernels/kernels.ts";

const SIZES = [64, 128, 192, 256, 320, 448, 1420];
const ROUNDS = 101;
/** Shorter than a time slice, so that the median holds on a busy machine. */
const ROUND_MS = 0.5;
/** Messages side by side, as in a pump's train. */
const MESSAGES = 32, STRIDE = 1536;

const kernels = instantiateKernels({ arenaBytes: 1 << 20 });
const key = new Uint8Array(new SharedArrayBuffer(32)).fill(7);
const start = kernels.firstFree;

function providers(): PacketAead[] {
  const wasm = new WasmAead(kernels), noble = new NobleAead(kernels.bytes);
  const opened = openLibcrypto();
  if (opened.kind === "absent") return [wasm, noble];
  console.log(opened.library.version);
  const libcrypto = new LibcryptoAead(opened.library, kernels);
  return [wasm, libcrypto, new MixedAead(wasm, libcrypto), noble];
}

function sealAll(aead: PacketAead, length: number): void {
  aead.sealWith(key);
  for (let i = 0; i < MESSAGES; i++) {
    aead.seal(i, start + i * STRIDE, length);
  }
}

/** Seals, then opens; what sealing alone costs is taken off. */
function sealAndOpenAll(aead: PacketAead, length: number): void {
  sealAll(aead, length);
  aead.openWith(key);
  for (let i = 0; i < MESSAGES; i++) {
    if (!aead.open(i, start + i * STRIDE, length)) {
      throw new Error(`${aead.name} refused`);
    }
  }
}

/** ns a packet over one round. */
function measure(work: () => void): number {
  const begin = performance.now();
  let times = 0, elapsed = 0;
  do {
    work();
    times++;
    elapsed = performance.now() - begin;
  } while (elapsed < ROUND_MS);
  return elapsed * 1e6 / (times * MESSAGES);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Prints a table: a row for each provider, seal and open for each size. */
export function benchCrypto(): void {
  const all = providers();
  console.log(`ns a packet, seal / open, median of ${ROUNDS} rounds`);
  console.log(
    "provider".padEnd(42) +
      SIZES.map((size) => `${size} B`.padStart(15)).join(""),
  );
  for (const aead of all) {
    for (let i = 0; i < 50; i++) sealAndOpenAll(aead, 500); // compiled first
  }
  const cells = new Map(all.map((aead) => [aead, [] as string[]]));
  for (const size of SIZES) {
    const sealing = all.map((): number[] => []),
      both = all.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      all.forEach((aead, i) => {
        sealing[i]!.push(measure(() => sealAll(aead, size)));
        both[i]!.push(measure(() => sealAndOpenAll(aead, size)));
      });
    }
    all.forEach((aead, i) => {
      const seal = median(sealing[i]!), open = median(both[i]!) - seal;
      cells.get(aead)!.push(`${seal.toFixed(0)} / ${open.toFixed(0)}`);
    });
  }
  for (const aead of all) {
    console.log(
      aead.name.padEnd(42) +
        cells.get(aead)!.map((cell) => cell.padStart(15)).join(""),
    );
  }
}

if (import.meta.main) benchCrypto();
