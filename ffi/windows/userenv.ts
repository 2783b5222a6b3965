/** userenv.dll: has policies read again. Source: userenv.h. */
import { openLibrary } from "./missing_library.ts";

const symbols = {
  /** BOOL RefreshPolicyEx(BOOL machine, DWORD options); */
  RefreshPolicyEx: {
    parameters: ["i32", "u32"],
    result: "i32",
    optional: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** RP_FORCE: policies that have not changed too. */
export const RP_FORCE = 1;

/** userenv.dll, opened for the calling thread. */
export interface Userenv extends Disposable {
  readonly call: Deno.DynamicLibrary<typeof symbols>["symbols"];
}

/** @throws {MissingLibraryError} */
export function openUserenv(): Userenv {
  const library = openLibrary("userenv.dll", symbols);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}
