/** Chooses at start what seals and opens a worker's packets. */
import { openLibcrypto } from "../../../ffi/libcrypto.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { LibcryptoAead } from "./libcrypto_aead.ts";
import { MixedAead } from "./mixed_aead.ts";
import { NobleAead } from "./noble_aead.ts";
import type { PacketAead } from "./packet_aead.ts";
import { SELF_TEST_BYTES, selfTest } from "./self_test.ts";
import { WasmAead } from "./wasm_aead.ts";

/** What a user may ask for; "auto" is the fastest that passes its self-test. */
export const AEAD_CHOICES = ["auto", "wasm", "libcrypto", "noble"] as const;

/** One of {@linkcode AEAD_CHOICES}. */
export type AeadName = typeof AEAD_CHOICES[number];

/** A provider and how it was found. */
export interface AeadSelection {
  readonly aead: PacketAead;
  /** For the start line: "wasm up to 128 bytes, libcrypto above (OpenSSL 3.5.1 1 Jul 2025)". */
  readonly description: string;
  /** Why a faster one was not taken; undefined where none was refused. */
  readonly refused: string | undefined;
}

type Candidate =
  | {
    readonly kind: "usable";
    readonly aead: PacketAead;
    readonly version: string;
  }
  | { readonly kind: "unusable"; readonly reason: string };

/**
 * Chooses a provider over the arena of `kernels` by a self-test, which leaves
 * the arena as it was.
 * @throws Error where the provider asked for fails, or where none is left.
 */
export function selectAead(
  kernels: Kernels,
  options: { readonly force?: AeadName } = {},
): AeadSelection {
  const force = options.force ?? "auto";
  if (force !== "auto") return only(force, candidate(force, kernels));
  const wasm = only("wasm", candidate("wasm", kernels));
  const libcrypto = candidate("libcrypto", kernels);
  if (libcrypto.kind === "unusable") {
    return { ...wasm, refused: `libcrypto: ${libcrypto.reason}` };
  }
  const aead = new MixedAead(wasm.aead, libcrypto.aead);
  return {
    aead,
    description: `${aead.name} (${libcrypto.version})`,
    refused: undefined,
  };
}

/** @throws Error where the candidate is not usable. */
function only(name: AeadName, found: Candidate): AeadSelection {
  if (found.kind === "unusable") {
    throw new Error(`crypto provider ${name} is not usable: ${found.reason}`);
  }
  return {
    aead: found.aead,
    description: `${name} (${found.version})`,
    refused: undefined,
  };
}

function candidate(
  name: Exclude<AeadName, "auto">,
  kernels: Kernels,
): Candidate {
  switch (name) {
    case "wasm":
      return tested(new WasmAead(kernels), "SIMD", kernels);
    case "noble":
      return tested(new NobleAead(kernels.bytes), "JavaScript", kernels);
    case "libcrypto": {
      const opened = openLibcrypto();
      if (opened.kind === "absent") {
        return { kind: "unusable", reason: opened.reason };
      }
      const { library } = opened;
      try {
        return tested(
          new LibcryptoAead(library, kernels),
          library.version,
          kernels,
        );
      } catch (error) {
        return { kind: "unusable", reason: String(error) };
      }
    }
  }
}

function tested(
  aead: PacketAead,
  version: string,
  kernels: Kernels,
): Candidate {
  const { bytes, firstFree } = kernels;
  const before = bytes.slice(firstFree, firstFree + SELF_TEST_BYTES);
  const failure = selfTest(aead, bytes, firstFree);
  bytes.set(before, firstFree);
  return failure === undefined
    ? { kind: "usable", aead, version }
    : { kind: "unusable", reason: failure };
}
