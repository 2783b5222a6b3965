/**
 * fwpuclnt.dll: the Windows Filtering Platform, as far as a kill switch needs
 * it. Calls return an error code, 0 for success. Source: fwpmu.h, fwpmtypes.h.
 *
 * An engine and an enumeration are handles that point to what the library knows
 * of them: u64. GUIDs are passed by their address.
 *
 * Wine cannot open the engine. Under Wine alone the DLL that SLUICE_TEST_FWPUCLNT
 * names takes its place: a stand-in of the tests.
 */
import { openLibrary } from "./missing_library.ts";
import { Win32Error } from "./win32_error.ts";
import { standInOf } from "./wine.ts";

const symbols = {
  // DWORD FwpmEngineOpen0(const wchar_t *serverName, UINT32 authnService,
  //   SEC_WINNT_AUTH_IDENTITY_W *authIdentity, const FWPM_SESSION0 *session, HANDLE *engineHandle);
  FwpmEngineOpen0: {
    parameters: ["pointer", "u32", "pointer", "buffer", "buffer"],
    result: "u32",
  },
  // DWORD FwpmEngineClose0(HANDLE engineHandle);
  FwpmEngineClose0: { parameters: ["u64"], result: "u32" },
  // DWORD FwpmTransactionBegin0(HANDLE engineHandle, UINT32 flags);
  FwpmTransactionBegin0: { parameters: ["u64", "u32"], result: "u32" },
  // DWORD FwpmTransactionCommit0(HANDLE engineHandle);
  FwpmTransactionCommit0: { parameters: ["u64"], result: "u32" },
  // DWORD FwpmTransactionAbort0(HANDLE engineHandle);
  FwpmTransactionAbort0: { parameters: ["u64"], result: "u32" },
  // DWORD FwpmProviderAdd0(HANDLE engineHandle, const FWPM_PROVIDER0 *provider, PSECURITY_DESCRIPTOR sd);
  FwpmProviderAdd0: { parameters: ["u64", "buffer", "pointer"], result: "u32" },
  // DWORD FwpmProviderDeleteByKey0(HANDLE engineHandle, const GUID *key);
  FwpmProviderDeleteByKey0: { parameters: ["u64", "buffer"], result: "u32" },
  // DWORD FwpmSubLayerAdd0(HANDLE engineHandle, const FWPM_SUBLAYER0 *subLayer, PSECURITY_DESCRIPTOR sd);
  FwpmSubLayerAdd0: { parameters: ["u64", "buffer", "pointer"], result: "u32" },
  // DWORD FwpmSubLayerDeleteByKey0(HANDLE engineHandle, const GUID *key);
  FwpmSubLayerDeleteByKey0: { parameters: ["u64", "buffer"], result: "u32" },
  // DWORD FwpmFilterAdd0(HANDLE engineHandle, const FWPM_FILTER0 *filter, PSECURITY_DESCRIPTOR sd, UINT64 *id);
  FwpmFilterAdd0: {
    parameters: ["u64", "buffer", "pointer", "buffer"],
    result: "u32",
  },
  // DWORD FwpmFilterDeleteById0(HANDLE engineHandle, UINT64 id);
  FwpmFilterDeleteById0: { parameters: ["u64", "u64"], result: "u32" },
  // DWORD FwpmFilterCreateEnumHandle0(HANDLE engineHandle,
  //   const FWPM_FILTER_ENUM_TEMPLATE0 *enumTemplate, HANDLE *enumHandle);
  FwpmFilterCreateEnumHandle0: {
    parameters: ["u64", "buffer", "buffer"],
    result: "u32",
  },
  // DWORD FwpmFilterEnum0(HANDLE engineHandle, HANDLE enumHandle, UINT32 numEntriesRequested,
  //   FWPM_FILTER0 ***entries, UINT32 *numEntriesReturned);
  FwpmFilterEnum0: {
    parameters: ["u64", "u64", "u32", "buffer", "buffer"],
    result: "u32",
  },
  // DWORD FwpmFilterDestroyEnumHandle0(HANDLE engineHandle, HANDLE enumHandle);
  FwpmFilterDestroyEnumHandle0: { parameters: ["u64", "u64"], result: "u32" },
  // DWORD FwpmGetAppIdFromFileName0(PCWSTR fileName, FWP_BYTE_BLOB **appId);
  FwpmGetAppIdFromFileName0: {
    parameters: ["buffer", "buffer"],
    result: "u32",
  },
  // void FwpmFreeMemory0(void **p);
  FwpmFreeMemory0: { parameters: ["buffer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Codes that are told apart. Source: winerror.h, rpcdce.h. */
export const WfpError = {
  AccessDenied: 5,
  /** RPC_S_CANNOT_SUPPORT: what Wine says. */
  CannotSupport: 1764,
  /** EPT_S_NOT_REGISTERED: the service BFE does not run. */
  NotRegistered: 1753,
  FilterNotFound: 0x8032_0003,
  ProviderNotFound: 0x8032_0005,
  SublayerNotFound: 0x8032_0007,
  AlreadyExists: 0x8032_0009,
  InUse: 0x8032_000a,
  TransactionTimedOut: 0x8032_0012,
} as const;

/** fwpuclnt.dll, opened for the calling thread. */
export interface Fwpuclnt extends Disposable {
  readonly call: Deno.DynamicLibrary<typeof symbols>["symbols"];
}

/** @throws {MissingLibraryError} */
export function openFwpuclnt(): Fwpuclnt {
  const standIn = standInOf("SLUICE_TEST_FWPUCLNT");
  const library = openLibrary(standIn ?? "fwpuclnt.dll", symbols);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}

/** @throws {Win32Error} unless the code is 0, or one of those that may be. */
export function checkWfp(
  call: string,
  code: number,
  ...allowed: readonly number[]
): void {
  if (code !== 0 && !allowed.includes(code)) throw new Win32Error(call, code);
}
