/**
 * bcrypt.dll (Cryptography API: Next Generation): authenticated ciphers.
 * https://learn.microsoft.com/en-us/windows/win32/api/bcrypt/
 *
 * Results are NTSTATUS: 0 is success, 0xC000A002 a tag that does not fit. What
 * changes with each packet is declared u64 and passed as a bigint, which
 * compiled code keeps in a register.
 */
import { MissingLibraryError, openLibrary } from "./missing_library.ts";

const SYMBOLS = {
  // NTSTATUS BCryptOpenAlgorithmProvider(BCRYPT_ALG_HANDLE *phAlgorithm, LPCWSTR pszAlgId,
  //                                      LPCWSTR pszImplementation, ULONG dwFlags);
  BCryptOpenAlgorithmProvider: {
    parameters: ["buffer", "buffer", "u64", "u32"],
    result: "u32",
  },
  // NTSTATUS BCryptCloseAlgorithmProvider(BCRYPT_ALG_HANDLE hAlgorithm, ULONG dwFlags);
  BCryptCloseAlgorithmProvider: { parameters: ["u64", "u32"], result: "u32" },
  // NTSTATUS BCryptSetProperty(BCRYPT_HANDLE hObject, LPCWSTR pszProperty, PUCHAR pbInput,
  //                            ULONG cbInput, ULONG dwFlags);
  BCryptSetProperty: {
    parameters: ["u64", "buffer", "buffer", "u32", "u32"],
    result: "u32",
  },
  // NTSTATUS BCryptGenerateSymmetricKey(BCRYPT_ALG_HANDLE hAlgorithm, BCRYPT_KEY_HANDLE *phKey,
  //     PUCHAR pbKeyObject, ULONG cbKeyObject, PUCHAR pbSecret, ULONG cbSecret, ULONG dwFlags);
  // Without a key object (Windows 7 and later) the library keeps it itself.
  BCryptGenerateSymmetricKey: {
    parameters: ["u64", "buffer", "u64", "u32", "buffer", "u32", "u32"],
    result: "u32",
  },
  // NTSTATUS BCryptDestroyKey(BCRYPT_KEY_HANDLE hKey);
  BCryptDestroyKey: { parameters: ["u64"], result: "u32" },
  // NTSTATUS BCryptEncrypt(BCRYPT_KEY_HANDLE hKey, PUCHAR pbInput, ULONG cbInput, VOID *pPaddingInfo,
  //     PUCHAR pbIV, ULONG cbIV, PUCHAR pbOutput, ULONG cbOutput, ULONG *pcbResult, ULONG dwFlags);
  // Input and output may be the same.
  BCryptEncrypt: {
    parameters: [
      "u64",
      "u64",
      "u32",
      "u64",
      "u64",
      "u32",
      "u64",
      "u32",
      "u64",
      "u32",
    ],
    result: "u32",
  },
  // NTSTATUS BCryptDecrypt(…) as BCryptEncrypt.
  BCryptDecrypt: {
    parameters: [
      "u64",
      "u64",
      "u32",
      "u64",
      "u64",
      "u32",
      "u64",
      "u32",
      "u64",
      "u32",
    ],
    result: "u32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions by their C names. */
export type BcryptSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** An open bcrypt.dll; disposing closes the library. */
export interface Bcrypt extends Disposable {
  readonly call: BcryptSymbols;
}

/** The library, or why there is none. */
export type BcryptResult =
  | { readonly kind: "open"; readonly library: Bcrypt }
  | { readonly kind: "absent"; readonly reason: string };

/**
 * Opens the system's bcrypt.dll, or one with the same functions; never throws,
 * since a system without it is no mistake.
 */
export function openBcrypt(file = "bcrypt.dll"): BcryptResult {
  try {
    const library = openLibrary(file, SYMBOLS);
    return {
      kind: "open",
      library: {
        call: library.symbols,
        [Symbol.dispose]: () => library.close(),
      },
    };
  } catch (error) {
    if (!(error instanceof MissingLibraryError)) throw error;
    return { kind: "absent", reason: error.message };
  }
}
