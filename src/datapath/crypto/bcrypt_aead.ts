/**
 * The provider of Windows' own library, bcrypt.dll: ChaCha20-Poly1305 since
 * Windows 11. A call encrypts in place; nonce and tag are named by a struct that
 * is filled in anew for each.
 *
 * Addresses are bigints that go from one expression into one call: compiled code
 * keeps them in registers.
 */
import type { Bcrypt, BcryptSymbols } from "../../../ffi/windows/bcrypt.ts";
import {
  bcryptAuthenticatedCipherModeInfo as info,
} from "../../../ffi/windows/layouts/bcrypt.ts";
import { wideText } from "../../../ffi/windows/wide_text.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { pointerOf } from "./arena_pointers.ts";
import {
  KEY_LENGTH,
  type PacketAead,
  TAG_LENGTH,
  writeCounter,
} from "./packet_aead.ts";

/** BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO_VERSION. Source: bcrypt.h. */
const INFO_VERSION = 1;
const NONCE_LENGTH = 12;
/** 4 zero bytes, then the counter. */
const COUNTER_AT = 4;
const TAG_LOW = info.at.pbTag >> 2;
const TAG_HIGH = TAG_LOW + 1;
const TWO_32 = 0x1_0000_0000;
/** Longer than what V8 would keep on its own heap, where it moves. */
const FIXED = 128;

/** A cipher by the names that the library has for it. */
export interface BcryptCipher {
  readonly algorithm: string;
  /** The value of the property ChainingMode; undefined where there is none. */
  readonly chainingMode: string | undefined;
}

/** What packets are sealed by. */
export const CHACHA20_POLY1305: BcryptCipher = {
  algorithm: "CHACHA20_POLY1305",
  chainingMode: undefined,
};

/** Seals and opens by bcrypt.dll, with one key object a direction. */
export class BcryptAead implements PacketAead, Disposable {
  readonly name = "bcrypt";
  readonly #call: BcryptSymbols;
  readonly #algorithm: bigint;
  readonly #sealing: DirectionKey;
  readonly #opening: DirectionKey;
  readonly #arena: bigint;
  readonly #arenaNumber: number;
  readonly #nonce = new Uint8Array(FIXED);
  readonly #info = new Uint32Array(FIXED >> 2);
  readonly #infoAt: bigint;
  /** What calls say of how much they wrote. */
  readonly #written = new Uint8Array(FIXED);
  readonly #writtenAt: bigint;

  /**
   * @param cipher any with keys of 32 bytes, nonces of 12 and tags of 16.
   * @throws Error where the library lacks the cipher.
   */
  constructor(
    library: Bcrypt,
    kernels: Kernels,
    cipher: BcryptCipher = CHACHA20_POLY1305,
  ) {
    const { call } = library;
    this.#call = call;
    this.#algorithm = openAlgorithm(call, cipher);
    this.#sealing = new DirectionKey(call, this.#algorithm);
    this.#opening = new DirectionKey(call, this.#algorithm);
    this.#arena = addressOf(kernels.bytes);
    this.#arenaNumber = Number(this.#arena);
    this.#infoAt = addressOf(this.#info);
    this.#writtenAt = addressOf(this.#written);
    const view = new DataView(this.#info.buffer);
    view.setUint32(info.at.cbSize, info.size, true);
    view.setUint32(info.at.dwInfoVersion, INFO_VERSION, true);
    view.setBigUint64(info.at.pbNonce, addressOf(this.#nonce), true);
    view.setUint32(info.at.cbNonce, NONCE_LENGTH, true);
    view.setUint32(info.at.cbTag, TAG_LENGTH, true);
  }

  sealWith(key: Uint8Array): void {
    this.#sealing.take(key);
  }

  openWith(key: Uint8Array): void {
    this.#opening.take(key);
  }

  /** @throws Error where the library fails, so that no text leaves unsealed. */
  seal(counter: number, at: number, length: number): void {
    this.#sealing.renew();
    this.#prepare(counter, at + length);
    const status = this.#call.BCryptEncrypt(
      this.#sealing.handle,
      this.#arena + BigInt(at | 0),
      length,
      this.#infoAt,
      0n,
      0,
      this.#arena + BigInt(at | 0),
      length,
      this.#writtenAt,
      0,
    );
    if (status !== 0) throw statusError("BCryptEncrypt", status);
  }

  open(counter: number, at: number, length: number): boolean {
    this.#opening.renew();
    this.#prepare(counter, at + length);
    return this.#call.BCryptDecrypt(
      this.#opening.handle,
      this.#arena + BigInt(at | 0),
      length,
      this.#infoAt,
      0n,
      0,
      this.#arena + BigInt(at | 0),
      length,
      this.#writtenAt,
      0,
    ) === 0;
  }

  /** Destroys the keys; the library stays open. */
  [Symbol.dispose](): void {
    this.#sealing[Symbol.dispose]();
    this.#opening[Symbol.dispose]();
    this.#call.BCryptCloseAlgorithmProvider(this.#algorithm, 0);
  }

  #prepare(counter: number, tagAt: number): void {
    writeCounter(this.#nonce, COUNTER_AT, counter);
    const address = this.#arenaNumber + tagAt;
    this.#info[TAG_LOW] = address;
    this.#info[TAG_HIGH] = address / TWO_32;
  }
}

/** The key object of a direction, made when the next packet needs another one. */
class DirectionKey implements Disposable {
  /** 0 before the first key. */
  handle = 0n;
  readonly #call: BcryptSymbols;
  readonly #algorithm: bigint;
  readonly #key = new Uint8Array(KEY_LENGTH);
  #isNew = false;

  constructor(call: BcryptSymbols, algorithm: bigint) {
    this.#call = call;
    this.#algorithm = algorithm;
  }

  take(key: Uint8Array): void {
    this.#key.set(key);
    this.#isNew = true;
  }

  renew(): void {
    if (this.#isNew) this.#make();
  }

  [Symbol.dispose](): void {
    if (this.handle !== 0n) this.#call.BCryptDestroyKey(this.handle);
    this.handle = 0n;
    this.#key.fill(0);
  }

  #make(): void {
    if (this.handle !== 0n) this.#call.BCryptDestroyKey(this.handle);
    const handle = new BigUint64Array(1);
    const status = this.#call.BCryptGenerateSymmetricKey(
      this.#algorithm,
      handle,
      0n,
      0,
      this.#key,
      KEY_LENGTH,
      0,
    );
    this.handle = handle[0];
    if (status !== 0) throw statusError("BCryptGenerateSymmetricKey", status);
    this.#isNew = false;
  }
}

/** @throws Error where the library lacks the cipher. */
function openAlgorithm(call: BcryptSymbols, cipher: BcryptCipher): bigint {
  const { algorithm, chainingMode } = cipher;
  const handle = new BigUint64Array(1);
  const name = wideText(algorithm);
  let status = call.BCryptOpenAlgorithmProvider(handle, name, 0n, 0);
  if (status !== 0) {
    throw new Error(
      `this Windows has no ${algorithm} (it came with Windows 11; status ${
        hex(status)
      })`,
    );
  }
  if (chainingMode !== undefined) {
    const value = wideText(chainingMode);
    const property = wideText("ChainingMode");
    status = call.BCryptSetProperty(
      handle[0],
      property,
      value,
      value.length,
      0,
    );
    if (status !== 0) throw statusError("BCryptSetProperty", status);
  }
  return handle[0];
}

function statusError(call: string, status: number): Error {
  return new Error(`${call}: status ${hex(status)}`);
}

function hex(status: number): string {
  return `0x${status.toString(16).padStart(8, "0")}`;
}

function addressOf(view: BufferSource): bigint {
  return Deno.UnsafePointer.value(pointerOf(view));
}
