/**
 * msvcrt.dll: copying between what has an address. RtlMoveMemory does the same,
 * but byte by byte under Wine.
 */
import { openLibrary } from "./missing_library.ts";

const SYMBOLS = {
  // void *memcpy(void *dest, const void *src, size_t count);
  // They must not overlap. The result is dest, and not declared.
  memcpy: { parameters: ["u64", "u64", "u32"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** An open msvcrt.dll; disposing closes the library. */
export interface Msvcrt extends Disposable {
  readonly call: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
}

/** @throws {MissingLibraryError} */
export function openMsvcrt(): Msvcrt {
  const library = openLibrary("msvcrt.dll", SYMBOLS);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}
