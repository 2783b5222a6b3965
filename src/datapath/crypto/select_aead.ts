/** Chooses at start what seals and opens a worker's packets. */
import { openLibcrypto } from "../../../ffi/libcrypto.ts";
import { openBcrypt } from "../../../ffi/windows/bcrypt.ts";
import type { CipherLibrary } from "../../io/ports/cipher_library.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { BcryptAead } from "./bcrypt_aead.ts";
import { LibcryptoAead } from "./libcrypto_aead.ts";
import { MixedAead } from "./mixed_aead.ts";
import { NobleAead } from "./noble_aead.ts";
import { KEY_LENGTH, type PacketAead } from "./packet_aead.ts";
import { SELF_TEST_BYTES, selfTest } from "./self_test.ts";
import { WasmAead } from "./wasm_aead.ts";

/** What a user may ask for; "auto" is the fastest that passes its self-test. */
export const AEAD_CHOICES = [
  "auto",
  "wasm",
  "libcrypto",
  "bcrypt",
  "noble",
] as const;

/** One of {@linkcode AEAD_CHOICES}. */
export type AeadName = typeof AEAD_CHOICES[number];

/** How to choose. */
export interface AeadOptions {
  /** `auto` where left out. */
  readonly force?: AeadName;
  /** The system's own library; libcrypto where left out. */
  readonly library?: CipherLibrary;
}

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
  options: AeadOptions = {},
): AeadSelection {
  const { force = "auto", library = "libcrypto" } = options;
  if (force !== "auto") {
    if (isLibrary(force) && force !== library) {
      return only(force, { kind: "unusable", reason: NOT_HERE[force] });
    }
    return only(force, candidate(force, kernels));
  }
  const wasm = only("wasm", candidate("wasm", kernels));
  const native = candidate(library, kernels);
  if (native.kind === "unusable") {
    return { ...wasm, refused: `${library}: ${native.reason}` };
  }
  if (library === "bcrypt") {
    // How it is made differs from Windows to Windows.
    const ours = sealTime(wasm.aead, kernels);
    const its = sealTime(native.aead, kernels);
    if (its > ours) return { ...wasm, refused: slower(its, ours) };
  }
  const aead = new MixedAead(wasm.aead, native.aead);
  return {
    aead,
    description: `${aead.name} (${native.version})`,
    refused: undefined,
  };
}

const NOT_HERE: Readonly<Record<CipherLibrary, string>> = {
  libcrypto: "it is for Linux",
  bcrypt: "it is a part of Windows",
};

/** A full packet, and how many times it is sealed to measure that. */
const MEASURED_TEXT = 1408;
const MEASURED_SEALS = 128;
const MEASURED_ROUNDS = 8;

/** The time of one seal in ns, the best of some. */
function sealTime(aead: PacketAead, kernels: Kernels): number {
  const { bytes, firstFree } = kernels;
  const before = bytes.slice(firstFree, firstFree + SELF_TEST_BYTES);
  aead.sealWith(new Uint8Array(KEY_LENGTH));
  let best = Infinity;
  for (let round = 0; round < MEASURED_ROUNDS; round++) {
    const start = performance.now();
    for (let i = 0; i < MEASURED_SEALS; i++) {
      aead.seal(i, firstFree, MEASURED_TEXT);
    }
    best = Math.min(best, performance.now() - start);
  }
  bytes.set(before, firstFree);
  return best * 1e6 / MEASURED_SEALS;
}

function slower(its: number, ours: number): string {
  return `bcrypt: slower here than wasm (${Math.round(its)} ns a packet, not ${
    Math.round(ours)
  })`;
}

function isLibrary(name: AeadName): name is CipherLibrary {
  return name === "libcrypto" || name === "bcrypt";
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
    case "bcrypt":
      return bcryptCandidate(kernels);
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

function bcryptCandidate(kernels: Kernels): Candidate {
  const opened = openBcrypt();
  if (opened.kind === "absent") {
    return { kind: "unusable", reason: opened.reason };
  }
  try {
    return tested(new BcryptAead(opened.library, kernels), "Windows", kernels);
  } catch (error) {
    opened.library[Symbol.dispose]();
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: "unusable", reason };
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
