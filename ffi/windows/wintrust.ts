/**
 * wintrust.dll: whether a file's Authenticode signature holds, and whose it is.
 * https://learn.microsoft.com/en-us/windows/win32/api/wintrust/
 */
import { openLibrary } from "./missing_library.ts";

const WINTRUST = {
  // LONG WinVerifyTrust(HWND hwnd, GUID *pgActionID, LPVOID pWVTData);
  // 0 where the signature holds and leads to a trusted root, else an HRESULT.
  WinVerifyTrust: { parameters: ["u64", "buffer", "buffer"], result: "i32" },
  // CRYPT_PROVIDER_DATA *WTHelperProvDataFromStateData(HANDLE hStateData);
  WTHelperProvDataFromStateData: { parameters: ["u64"], result: "u64" },
  // CRYPT_PROVIDER_SGNR *WTHelperGetProvSignerFromChain(CRYPT_PROVIDER_DATA *pProvData,
  //     DWORD idxSigner, BOOL fCounterSigner, DWORD idxCounterSigner);
  WTHelperGetProvSignerFromChain: {
    parameters: ["u64", "u32", "i32", "u32"],
    result: "u64",
  },
  // CRYPT_PROVIDER_CERT *WTHelperGetProvCertFromChain(CRYPT_PROVIDER_SGNR *pSgnr, DWORD idxCert);
  WTHelperGetProvCertFromChain: {
    parameters: ["u64", "u32"],
    result: "pointer",
  },
} as const satisfies Deno.ForeignLibraryInterface;

const CRYPT32 = {
  // DWORD CertGetNameStringW(PCCERT_CONTEXT pCertContext, DWORD dwType, DWORD dwFlags,
  //                          void *pvTypePara, LPWSTR pszNameString, DWORD cchNameString);
  // Characters written, the ending 0 among them.
  CertGetNameStringW: {
    parameters: ["u64", "u32", "u32", "u64", "buffer", "u32"],
    result: "u32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions by their C names. */
export type WintrustSymbols =
  & Deno.DynamicLibrary<typeof WINTRUST>["symbols"]
  & Deno.DynamicLibrary<typeof CRYPT32>["symbols"];

/** Open libraries; disposing closes them. */
export interface Wintrust extends Disposable {
  readonly call: WintrustSymbols;
}

/**
 * Opens wintrust.dll, and crypt32.dll for a signer's name.
 * @throws {MissingLibraryError}
 */
export function openWintrust(): Wintrust {
  const wintrust = openLibrary("wintrust.dll", WINTRUST);
  const crypt32 = openLibrary("crypt32.dll", CRYPT32);
  return {
    call: { ...wintrust.symbols, ...crypt32.symbols },
    [Symbol.dispose]: () => {
      wintrust.close();
      crypt32.close();
    },
  };
}
