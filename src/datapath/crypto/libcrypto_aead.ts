/**
 * The provider of OpenSSL's libcrypto: the fastest for large packets.
 *
 * libcrypto's own ChaCha20-Poly1305 makes a call of its cipher for the one-time
 * key and one for the text, each with a last partial block: for 1,420 bytes a
 * third of its time. Here the AEAD (RFC 8439 section 2.8) is put together from
 * ChaCha20 and Poly1305. One call of the cipher, a whole number of blocks, goes
 * from the block before the text to the one after it, into a scratch area:
 *
 *     arena     | what is there | text                      | what is there
 *               ^ at - 64       ^ at
 *     scratch   | one-time key  | text, the other way round | nothing of use |
 *                 XOR what is there
 */
import type { Libcrypto, LibcryptoSymbols } from "../../../ffi/libcrypto.ts";
import { type Kernels, SCRATCH_LENGTH } from "../kernels/kernels.ts";
import { ArenaPointers, pointerOf } from "./arena_pointers.ts";
import {
  KEY_LENGTH,
  type PacketAead,
  TAG_LENGTH,
  writeCounter,
} from "./packet_aead.ts";

const CHACHA20 = new TextEncoder().encode("ChaCha20\0");
const POLY1305 = new TextEncoder().encode("POLY1305\0");
const BLOCK = 64;
/** Poly1305's own. */
const MAC_BLOCK = 16;
const LONGEST_TEXT = SCRATCH_LENGTH - 2 * BLOCK;

/**
 * Seals and opens by libcrypto, with one cipher context a direction, which
 * keeps its key from packet to packet. One instance a thread: with several, the
 * runtime no longer takes its fast path for the calls, which costs 100 ns each.
 */
export class LibcryptoAead implements PacketAead, Disposable {
  readonly name = "libcrypto";
  readonly #evp: LibcryptoSymbols;
  readonly #kernels: Kernels;
  readonly #pointers: ArenaPointers;
  readonly #sealing: Deno.PointerObject;
  readonly #opening: Deno.PointerObject;
  readonly #mac: Deno.PointerObject;
  readonly #sealKey = new NewKey();
  readonly #openKey = new NewKey();
  /** 4 bytes of block counter and 4 of nonce, which stay 0, and the message's counter. */
  readonly #nonce = new Uint8Array(16);
  readonly #nonceAt = pointerOf(this.#nonce);
  /** What ends the authenticated bytes: padding, length 0 of no data, length of the text. */
  readonly #ending = new Uint8Array(2 * MAC_BLOCK);
  readonly #endingAt: readonly Deno.PointerValue[];
  /** What calls say of how much they wrote. */
  readonly #written = new Uint8Array(8);
  readonly #writtenAt = pointerOf(this.#written);
  readonly #scratch: number;
  readonly #keyAt: number;
  readonly #tagAt: number;

  /** @throws Error where libcrypto lacks ChaCha20 or Poly1305 (a FIPS build). */
  constructor(library: Libcrypto, kernels: Kernels) {
    const evp = library.symbols;
    this.#evp = evp;
    this.#kernels = kernels;
    this.#pointers = new ArenaPointers(kernels.bytes);
    this.#scratch = kernels.scratchAt;
    this.#keyAt = this.#scratch;
    this.#tagAt = this.#scratch + KEY_LENGTH;
    const endings = pointerOf(this.#ending);
    this.#endingAt = Array.from(
      { length: MAC_BLOCK },
      (_, rest) =>
        Deno.UnsafePointer.offset(endings, rest === 0 ? MAC_BLOCK : rest),
    );
    this.#sealing = cipherContext(evp);
    this.#opening = cipherContext(evp);
    this.#mac = macContext(evp);
  }

  sealWith(key: Uint8Array): void {
    this.#sealKey.take(key);
  }

  openWith(key: Uint8Array): void {
    this.#openKey.take(key);
  }

  /** @throws Error where libcrypto fails, so that no text leaves unsealed. */
  seal(counter: number, at: number, length: number): void {
    const text = this.#scratch + BLOCK;
    const done =
      this.#crypt(this.#sealing, this.#sealKey.pointer(), counter, at, length) &
      this.#authenticate(text, length, at + length);
    if (done !== 1) throw new Error("sealing by libcrypto failed");
    this.#kernels.copyText(at, text, length);
  }

  open(counter: number, at: number, length: number): boolean {
    const done =
      this.#crypt(this.#opening, this.#openKey.pointer(), counter, at, length) &
      this.#authenticate(at, length, this.#tagAt);
    if (done !== 1) return false;
    if (this.#kernels.sameTag(this.#tagAt, at + length) !== 1) return false;
    this.#kernels.copyText(at, this.#scratch + BLOCK, length);
    return true;
  }

  /** Frees all contexts; the library stays open. */
  [Symbol.dispose](): void {
    this.#evp.EVP_CIPHER_CTX_free(this.#sealing);
    this.#evp.EVP_CIPHER_CTX_free(this.#opening);
    this.#evp.EVP_MAC_CTX_free(this.#mac);
  }

  /** Fills the scratch area, and puts the one-time key where Poly1305 takes it. */
  #crypt(
    context: Deno.PointerObject,
    newKey: Deno.PointerValue,
    counter: number,
    at: number,
    length: number,
  ): number {
    if (length > LONGEST_TEXT) return 0;
    const evp = this.#evp;
    const { bytes } = this.#kernels;
    const from = at - BLOCK;
    const blocks = (length + 2 * BLOCK - 1) & ~(BLOCK - 1);
    const taken = Math.min(blocks, bytes.length - from);
    const scratch = this.#pointers.at(this.#scratch);
    writeCounter(this.#nonce, 8, counter);
    const done =
      evp.EVP_EncryptInit_ex(context, null, null, newKey, this.#nonceAt) &
      evp.EVP_EncryptUpdate(
        context,
        scratch,
        this.#writtenAt,
        this.#pointers.at(from),
        taken,
      );
    this.#kernels.takeOneTimeKey(this.#scratch, from, this.#keyAt);
    return done;
  }

  /** Writes the tag of `length` bytes of sealed text at `at`. */
  #authenticate(at: number, length: number, tag: number): number {
    const evp = this.#evp;
    const ending = this.#ending;
    const rest = length & (MAC_BLOCK - 1);
    ending[24] = length;
    ending[25] = length >>> 8;
    return evp.EVP_MAC_init(
      this.#mac,
      this.#pointers.at(this.#keyAt),
      KEY_LENGTH,
      null,
    ) &
      evp.EVP_MAC_update(this.#mac, this.#pointers.at(at), length) &
      evp.EVP_MAC_update(
        this.#mac,
        this.#endingAt[rest],
        rest === 0 ? MAC_BLOCK : 2 * MAC_BLOCK - rest,
      ) &
      evp.EVP_MAC_final(
        this.#mac,
        this.#pointers.at(tag),
        this.#writtenAt,
        TAG_LENGTH,
      );
  }
}

/** The key that a context is to have with its next packet; setting one costs 50 ns. */
class NewKey {
  readonly #key = new Uint8Array(KEY_LENGTH);
  readonly #at = pointerOf(this.#key);
  #isNew = false;

  take(key: Uint8Array): void {
    this.#key.set(key);
    this.#isNew = true;
  }

  /** The key; null where the context has it already. */
  pointer(): Deno.PointerValue {
    if (!this.#isNew) return null;
    this.#isNew = false;
    return this.#at;
  }
}

function cipherContext(evp: LibcryptoSymbols): Deno.PointerObject {
  const cipher = evp.EVP_CIPHER_fetch(null, CHACHA20, null);
  if (cipher === null) throw new Error("libcrypto has no ChaCha20");
  const context = evp.EVP_CIPHER_CTX_new();
  if (
    context === null ||
    evp.EVP_EncryptInit_ex(context, cipher, null, null, null) !== 1
  ) throw new Error("libcrypto's ChaCha20 does not start");
  evp.EVP_CIPHER_free(cipher); // the context holds it
  return context;
}

function macContext(evp: LibcryptoSymbols): Deno.PointerObject {
  const mac = evp.EVP_MAC_fetch(null, POLY1305, null);
  if (mac === null) throw new Error("libcrypto has no Poly1305");
  const context = evp.EVP_MAC_CTX_new(mac);
  if (context === null) throw new Error("libcrypto's Poly1305 does not start");
  evp.EVP_MAC_free(mac); // the context holds it
  return context;
}
