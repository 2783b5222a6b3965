/** shell32.dll: folders that the system knows. Source: shlobj_core.h, combaseapi.h. */
import { openLibrary } from "./missing_library.ts";

const SHELL32 = {
  /** HRESULT SHGetKnownFolderPath(const KNOWNFOLDERID *id, DWORD flags, HANDLE token, WCHAR **path); to be freed by CoTaskMemFree, found or not. */
  SHGetKnownFolderPath: {
    parameters: ["buffer", "u32", "pointer", "buffer"],
    result: "u32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

const OLE32 = {
  /** void CoTaskMemFree(void *memory); */
  CoTaskMemFree: { parameters: ["pointer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** shell32.dll, and ole32.dll for what it allocates, opened for the calling thread. */
export interface Shell32 extends Disposable {
  readonly call:
    & Deno.DynamicLibrary<typeof SHELL32>["symbols"]
    & Deno.DynamicLibrary<typeof OLE32>["symbols"];
}

/** @throws {MissingLibraryError} */
export function openShell32(): Shell32 {
  const shell32 = openLibrary("shell32.dll", SHELL32);
  const ole32 = openLibrary("ole32.dll", OLE32);
  return {
    call: { ...shell32.symbols, ...ole32.symbols },
    [Symbol.dispose]: () => {
      shell32.close();
      ole32.close();
    },
  };
}
