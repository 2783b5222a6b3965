/**
 * advapi32.dll: tokens, security descriptors, the registry. A handle of the
 * registry that is given as a constant is a negative number of 32 bits, extended
 * with its sign: i64. Source: winreg.h, securitybaseapi.h, aclapi.h, sddl.h.
 */
import { openLibrary } from "./missing_library.ts";

const symbols = {
  /** BOOL OpenProcessToken(HANDLE process, DWORD access, HANDLE *token); -1 is this process. */
  OpenProcessToken: { parameters: ["i64", "u32", "buffer"], result: "i32" },
  /** BOOL GetTokenInformation(HANDLE token, TOKEN_INFORMATION_CLASS, void *information, DWORD length, DWORD *needed); */
  GetTokenInformation: {
    parameters: ["u64", "u32", "buffer", "u32", "buffer"],
    result: "i32",
  },
  /** BOOL LookupAccountSidW(const WCHAR *system, PSID sid, WCHAR *name, DWORD *nameLength, WCHAR *domain, DWORD *domainLength, SID_NAME_USE *use); */
  LookupAccountSidW: {
    parameters: [
      "pointer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
    ],
    result: "i32",
  },
  /** BOOL CheckTokenMembership(HANDLE token, PSID sid, BOOL *isMember); without a token the caller's own; a group that only denies does not count. */
  CheckTokenMembership: {
    parameters: ["pointer", "buffer", "buffer"],
    result: "i32",
  },
  /** BOOL CreateWellKnownSid(WELL_KNOWN_SID_TYPE, PSID domain, PSID sid, DWORD *length); */
  CreateWellKnownSid: {
    parameters: ["u32", "pointer", "buffer", "buffer"],
    result: "i32",
  },
  /** BOOL ConvertSidToStringSidW(PSID sid, WCHAR **text); to be freed by LocalFree. */
  ConvertSidToStringSidW: { parameters: ["pointer", "buffer"], result: "i32" },
  /** BOOL GetFileSecurityW(const WCHAR *path, SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, DWORD length, DWORD *needed); */
  GetFileSecurityW: {
    parameters: ["buffer", "u32", "buffer", "u32", "buffer"],
    result: "i32",
  },
  /** BOOL ConvertStringSecurityDescriptorToSecurityDescriptorW(const WCHAR *text, DWORD revision, PSECURITY_DESCRIPTOR *, ULONG *size); to be freed by LocalFree. */
  ConvertStringSecurityDescriptorToSecurityDescriptorW: {
    parameters: ["buffer", "u32", "buffer", "pointer"],
    result: "i32",
  },
  /** BOOL ConvertSecurityDescriptorToStringSecurityDescriptorW(PSECURITY_DESCRIPTOR, DWORD revision, SECURITY_INFORMATION, WCHAR **text, ULONG *length); to be freed by LocalFree. */
  ConvertSecurityDescriptorToStringSecurityDescriptorW: {
    parameters: ["pointer", "u32", "u32", "buffer", "pointer"],
    result: "i32",
  },
  /** DWORD GetNamedSecurityInfoW(const WCHAR *name, SE_OBJECT_TYPE, SECURITY_INFORMATION, PSID *owner, PSID *group, PACL *dacl, PACL *sacl, PSECURITY_DESCRIPTOR *); */
  GetNamedSecurityInfoW: {
    parameters: [
      "buffer",
      "u32",
      "u32",
      "buffer",
      "pointer",
      "pointer",
      "pointer",
      "buffer",
    ],
    result: "u32",
  },
  /** BOOL SetFileSecurityW(const WCHAR *name, SECURITY_INFORMATION, PSECURITY_DESCRIPTOR); */
  SetFileSecurityW: { parameters: ["buffer", "u32", "pointer"], result: "i32" },
  /** LSTATUS RegCreateKeyExW(HKEY, const WCHAR *name, DWORD reserved, WCHAR *class, DWORD options, REGSAM, SECURITY_ATTRIBUTES *, HKEY *key, DWORD *disposition); */
  RegCreateKeyExW: {
    parameters: [
      "i64",
      "buffer",
      "u32",
      "pointer",
      "u32",
      "u32",
      "pointer",
      "buffer",
      "pointer",
    ],
    result: "u32",
  },
  /** LSTATUS RegOpenKeyExW(HKEY, const WCHAR *name, DWORD options, REGSAM, HKEY *key); */
  RegOpenKeyExW: {
    parameters: ["i64", "buffer", "u32", "u32", "buffer"],
    result: "u32",
  },
  /** LSTATUS RegSetValueExW(HKEY, const WCHAR *name, DWORD reserved, DWORD type, const BYTE *data, DWORD length); */
  RegSetValueExW: {
    parameters: ["i64", "buffer", "u32", "u32", "buffer", "u32"],
    result: "u32",
  },
  /** LSTATUS RegQueryValueExW(HKEY, const WCHAR *name, DWORD *reserved, DWORD *type, BYTE *data, DWORD *length); */
  RegQueryValueExW: {
    parameters: ["i64", "buffer", "pointer", "buffer", "buffer", "buffer"],
    result: "u32",
  },
  /** LSTATUS RegDeleteTreeW(HKEY, const WCHAR *name); */
  RegDeleteTreeW: { parameters: ["i64", "buffer"], result: "u32" },
  /** LSTATUS RegCloseKey(HKEY); */
  RegCloseKey: { parameters: ["i64"], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** advapi32.dll, opened for the calling thread. */
export interface Advapi32 extends Disposable {
  readonly call: Deno.DynamicLibrary<typeof symbols>["symbols"];
}

/** @throws {MissingLibraryError} */
export function openAdvapi32(): Advapi32 {
  const library = openLibrary("advapi32.dll", symbols);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}
