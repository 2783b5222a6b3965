/**
 * kernelbase.dll: what kernel32.dll does not pass on.
 * https://learn.microsoft.com/en-us/windows/win32/api/realtimeapiset/
 */
import { openLibrary } from "./missing_library.ts";

const SYMBOLS = {
  // VOID WINAPI QueryInterruptTimePrecise(PULONGLONG lpInterruptTimePrecise);
  // 100 ns since the system started, time asleep included.
  QueryInterruptTimePrecise: { parameters: ["buffer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** An open kernelbase.dll; disposing closes the library. */
export interface Kernelbase extends Disposable {
  readonly call: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
}

/** @throws {MissingLibraryError} */
export function openKernelbase(): Kernelbase {
  const library = openLibrary("kernelbase.dll", SYMBOLS);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}
