/**
 * OpenSSL 3's libcrypto: what ChaCha20 and Poly1305 need of the EVP interface.
 * https://docs.openssl.org/3.0/man3/EVP_EncryptInit/
 * https://docs.openssl.org/3.0/man3/EVP_MAC/
 *
 * Lengths are declared u32 where C says size_t: no packet has 4 GiB, and a u32
 * takes V8's fast path.
 */

const FILE = "libcrypto.so.3";

const SYMBOLS = {
  // EVP_CIPHER *EVP_CIPHER_fetch(OSSL_LIB_CTX *ctx, const char *algorithm, const char *properties);
  EVP_CIPHER_fetch: {
    parameters: ["pointer", "buffer", "pointer"],
    result: "pointer",
  },
  // void EVP_CIPHER_free(EVP_CIPHER *cipher);
  EVP_CIPHER_free: { parameters: ["pointer"], result: "void" },
  // EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
  EVP_CIPHER_CTX_new: { parameters: [], result: "pointer" },
  // void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx);
  EVP_CIPHER_CTX_free: { parameters: ["pointer"], result: "void" },
  // int EVP_EncryptInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *type, ENGINE *impl,
  //                        const unsigned char *key, const unsigned char *iv);
  EVP_EncryptInit_ex: {
    parameters: ["pointer", "pointer", "pointer", "pointer", "pointer"],
    result: "i32",
  },
  // int EVP_EncryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl,
  //                       const unsigned char *in, int inl);
  EVP_EncryptUpdate: {
    parameters: ["pointer", "pointer", "pointer", "pointer", "i32"],
    result: "i32",
  },
  // EVP_MAC *EVP_MAC_fetch(OSSL_LIB_CTX *libctx, const char *algorithm, const char *properties);
  EVP_MAC_fetch: {
    parameters: ["pointer", "buffer", "pointer"],
    result: "pointer",
  },
  // void EVP_MAC_free(EVP_MAC *mac);
  EVP_MAC_free: { parameters: ["pointer"], result: "void" },
  // EVP_MAC_CTX *EVP_MAC_CTX_new(EVP_MAC *mac);
  EVP_MAC_CTX_new: { parameters: ["pointer"], result: "pointer" },
  // void EVP_MAC_CTX_free(EVP_MAC_CTX *ctx);
  EVP_MAC_CTX_free: { parameters: ["pointer"], result: "void" },
  // int EVP_MAC_init(EVP_MAC_CTX *ctx, const unsigned char *key, size_t keylen,
  //                  const OSSL_PARAM params[]);
  EVP_MAC_init: {
    parameters: ["pointer", "pointer", "u32", "pointer"],
    result: "i32",
  },
  // int EVP_MAC_update(EVP_MAC_CTX *ctx, const unsigned char *data, size_t datalen);
  EVP_MAC_update: {
    parameters: ["pointer", "pointer", "u32"],
    result: "i32",
  },
  // int EVP_MAC_final(EVP_MAC_CTX *ctx, unsigned char *out, size_t *outl, size_t outsize);
  EVP_MAC_final: {
    parameters: ["pointer", "pointer", "pointer", "u32"],
    result: "i32",
  },
  // const char *OpenSSL_version(int type);
  OpenSSL_version: { parameters: ["i32"], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

const OPENSSL_VERSION = 0;

/** The functions by their C names. */
export type LibcryptoSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** An open libcrypto; disposing closes the library. */
export interface Libcrypto extends Disposable {
  readonly symbols: LibcryptoSymbols;
  /** Such as "OpenSSL 3.5.1 1 Jul 2025". */
  readonly version: string;
}

/** The library, or why there is none. */
export type LibcryptoResult =
  | { readonly kind: "open"; readonly library: Libcrypto }
  | { readonly kind: "absent"; readonly reason: string };

/** Opens libcrypto.so.3; never throws, since a system without it is no mistake. */
export function openLibcrypto(): LibcryptoResult {
  let library: Deno.DynamicLibrary<typeof SYMBOLS>;
  try {
    library = Deno.dlopen(FILE, SYMBOLS);
  } catch (error) {
    return {
      kind: "absent",
      reason: error instanceof Error ? error.message : String(error),
    };
  }
  const { symbols } = library;
  const version = symbols.OpenSSL_version(OPENSSL_VERSION);
  return {
    kind: "open",
    library: {
      symbols,
      version: version === null
        ? "OpenSSL 3"
        : Deno.UnsafePointerView.getCString(version),
      [Symbol.dispose]: () => library.close(),
    },
  };
}
