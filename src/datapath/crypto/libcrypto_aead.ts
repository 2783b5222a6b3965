/** The provider of OpenSSL's libcrypto: the fastest for large packets. */
import {
  EVP_CTRL_AEAD_GET_TAG,
  EVP_CTRL_AEAD_SET_TAG,
  type Libcrypto,
  type LibcryptoSymbols,
} from "../../../ffi/libcrypto.ts";
import { ArenaPointers, pointerOf } from "./arena_pointers.ts";
import {
  KEY_LENGTH,
  type PacketAead,
  TAG_LENGTH,
  writeNonce,
} from "./packet_aead.ts";

const CIPHER = new TextEncoder().encode("ChaCha20-Poly1305\0");

/**
 * Seals and opens by libcrypto, with one context a direction, which keeps its
 * key from packet to packet.
 *
 * EVP_Cipher would save a call, but it never checks the tag. One instance a
 * thread: with several, the runtime no longer takes its fast path for the
 * calls, which costs 100 ns each.
 */
export class LibcryptoAead implements PacketAead, Disposable {
  readonly name = "libcrypto";
  readonly #evp: LibcryptoSymbols;
  readonly #pointers: ArenaPointers;
  readonly #sealing: KeyedContext;
  readonly #opening: KeyedContext;
  readonly #nonce = new Uint8Array(12);
  readonly #nonceAt = pointerOf(this.#nonce);
  readonly #written = new Int32Array(1);
  readonly #writtenAt = pointerOf(this.#written);
  /** The final call's output; an AEAD stream cipher has none. */
  readonly #rest = new Uint8Array(16);
  readonly #restAt = pointerOf(this.#rest);

  /** @throws Error where libcrypto has no ChaCha20-Poly1305 (a FIPS build). */
  constructor(library: Libcrypto, arena: Uint8Array<ArrayBuffer>) {
    this.#evp = library.symbols;
    this.#pointers = new ArenaPointers(arena);
    const evp = this.#evp;
    const cipher = evp.EVP_CIPHER_fetch(null, CIPHER, null);
    if (cipher === null) throw new Error("libcrypto has no ChaCha20-Poly1305");
    this.#sealing = new KeyedContext(evp);
    this.#opening = new KeyedContext(evp);
    check(
      evp.EVP_EncryptInit_ex(this.#sealing.at, cipher, null, null, null),
      "EVP_EncryptInit_ex",
    );
    check(
      evp.EVP_DecryptInit_ex(this.#opening.at, cipher, null, null, null),
      "EVP_DecryptInit_ex",
    );
    evp.EVP_CIPHER_free(cipher); // the contexts hold it
  }

  sealWith(key: Uint8Array): void {
    this.#sealing.take(key);
  }

  openWith(key: Uint8Array): void {
    this.#opening.take(key);
  }

  /** @throws Error where libcrypto fails, so that no text leaves unsealed. */
  seal(counter: number, at: number, length: number): void {
    const evp = this.#evp, context = this.#sealing.at;
    const text = this.#pointers.at(at), written = this.#writtenAt;
    writeNonce(this.#nonce, counter);
    check(
      evp.EVP_EncryptInit_ex(
        context,
        null,
        null,
        this.#sealing.newKey(),
        this.#nonceAt,
      ) &
        evp.EVP_EncryptUpdate(context, text, written, text, length) &
        evp.EVP_EncryptFinal_ex(context, this.#restAt, written) &
        evp.EVP_CIPHER_CTX_ctrl(
          context,
          EVP_CTRL_AEAD_GET_TAG,
          TAG_LENGTH,
          this.#pointers.at(at + length),
        ),
      "sealing by libcrypto",
    );
  }

  open(counter: number, at: number, length: number): boolean {
    const evp = this.#evp, context = this.#opening.at;
    const text = this.#pointers.at(at), written = this.#writtenAt;
    const tag = this.#pointers.at(at + length);
    writeNonce(this.#nonce, counter);
    return (
      evp.EVP_DecryptInit_ex(
        context,
        null,
        null,
        this.#opening.newKey(),
        this.#nonceAt,
      ) &
      evp.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_LENGTH, tag) &
      evp.EVP_DecryptUpdate(context, text, written, text, length) &
      evp.EVP_DecryptFinal_ex(context, this.#restAt, written)
    ) === 1;
  }

  /** Frees both contexts; the library stays open. */
  [Symbol.dispose](): void {
    this.#evp.EVP_CIPHER_CTX_free(this.#sealing.at);
    this.#evp.EVP_CIPHER_CTX_free(this.#opening.at);
  }
}

/** An EVP context and the key that it is to have with its next packet. */
class KeyedContext {
  readonly at: Deno.PointerObject;
  readonly #key = new Uint8Array(KEY_LENGTH);
  readonly #keyAt = pointerOf(this.#key);
  #isNew = false;

  constructor(evp: LibcryptoSymbols) {
    const context = evp.EVP_CIPHER_CTX_new();
    if (context === null) throw new Error("EVP_CIPHER_CTX_new failed");
    this.at = context;
  }

  take(key: Uint8Array): void {
    this.#key.set(key);
    this.#isNew = true;
  }

  /** The key where the context does not have it yet; setting one costs 50 ns. */
  newKey(): Deno.PointerObject | null {
    if (!this.#isNew) return null;
    this.#isNew = false;
    return this.#keyAt;
  }
}

function check(result: number, what: string): void {
  if (result !== 1) throw new Error(`${what} failed`);
}
