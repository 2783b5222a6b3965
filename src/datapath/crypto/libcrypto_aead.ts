/** The provider of OpenSSL's libcrypto: the fastest for large packets. */
import {
  EVP_CTRL_AEAD_GET_TAG,
  EVP_CTRL_AEAD_SET_TAG,
  type Libcrypto,
  type LibcryptoSymbols,
} from "../../../ffi/libcrypto.ts";
import { ArenaViews } from "./arena_views.ts";
import { type PacketAead, TAG_LENGTH, writeNonce } from "./packet_aead.ts";

const CIPHER = new TextEncoder().encode("ChaCha20-Poly1305\0");

/**
 * Seals and opens by libcrypto, with one context a direction: key and nonce are
 * given anew for each packet, so no context belongs to a session.
 *
 * EVP_Cipher would save a call, but it never checks the tag. One instance a
 * thread: with several, the runtime no longer takes its fast path for the
 * calls, which costs 100 ns each.
 */
export class LibcryptoAead implements PacketAead, Disposable {
  readonly name = "libcrypto";
  readonly #evp: LibcryptoSymbols;
  readonly #views: ArenaViews;
  readonly #sealing: Deno.PointerObject;
  readonly #opening: Deno.PointerObject;
  readonly #nonce = new Uint8Array(12);
  readonly #written = new Int32Array(1);
  /** The final call's output; an AEAD stream cipher has none. */
  readonly #rest = new Uint8Array(16);

  /** @throws Error where libcrypto has no ChaCha20-Poly1305 (a FIPS build). */
  constructor(library: Libcrypto, arena: Uint8Array<ArrayBuffer>) {
    this.#evp = library.symbols;
    this.#views = new ArenaViews(arena);
    const evp = this.#evp;
    const cipher = evp.EVP_CIPHER_fetch(null, CIPHER, null);
    if (cipher === null) throw new Error("libcrypto has no ChaCha20-Poly1305");
    const sealing = evp.EVP_CIPHER_CTX_new(),
      opening = evp.EVP_CIPHER_CTX_new();
    if (sealing === null || opening === null) {
      throw new Error("EVP_CIPHER_CTX_new failed");
    }
    check(
      evp.EVP_EncryptInit_ex(sealing, cipher, null, null, null),
      "EVP_EncryptInit_ex",
    );
    check(
      evp.EVP_DecryptInit_ex(opening, cipher, null, null, null),
      "EVP_DecryptInit_ex",
    );
    evp.EVP_CIPHER_free(cipher); // the contexts hold it
    this.#sealing = sealing;
    this.#opening = opening;
  }

  /** @throws Error where libcrypto fails, so that no text leaves unsealed. */
  seal(key: Uint8Array, counter: number, at: number, length: number): void {
    const evp = this.#evp, context = this.#sealing;
    const text = this.#views.at(at), tag = this.#views.at(at + length);
    writeNonce(this.#nonce, counter);
    check(
      evp.EVP_EncryptInit_ex(
        context,
        null,
        null,
        key as BufferSource,
        this.#nonce,
      ) &
        evp.EVP_EncryptUpdate(context, text, this.#written, text, length) &
        evp.EVP_EncryptFinal_ex(context, this.#rest, this.#written) &
        evp.EVP_CIPHER_CTX_ctrl(
          context,
          EVP_CTRL_AEAD_GET_TAG,
          TAG_LENGTH,
          tag,
        ),
      "sealing by libcrypto",
    );
  }

  open(key: Uint8Array, counter: number, at: number, length: number): boolean {
    const evp = this.#evp, context = this.#opening;
    const text = this.#views.at(at), tag = this.#views.at(at + length);
    writeNonce(this.#nonce, counter);
    return (
      evp.EVP_DecryptInit_ex(
        context,
        null,
        null,
        key as BufferSource,
        this.#nonce,
      ) &
      evp.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_LENGTH, tag) &
      evp.EVP_DecryptUpdate(context, text, this.#written, text, length) &
      evp.EVP_DecryptFinal_ex(context, this.#rest, this.#written)
    ) === 1;
  }

  /** Frees both contexts; the library stays open. */
  [Symbol.dispose](): void {
    this.#evp.EVP_CIPHER_CTX_free(this.#sealing);
    this.#evp.EVP_CIPHER_CTX_free(this.#opening);
  }
}

function check(result: number, what: string): void {
  if (result !== 1) throw new Error(`${what} failed`);
}
