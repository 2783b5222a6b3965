/** dnsapi.dll: the cache of the system's resolver. */
import { openLibrary } from "./missing_library.ts";

const symbols = {
  /** BOOL DnsFlushResolverCache(void); as ipconfig /flushdns calls it. */
  DnsFlushResolverCache: { parameters: [], result: "i32", optional: true },
} as const satisfies Deno.ForeignLibraryInterface;

/** dnsapi.dll, opened for the calling thread. */
export interface Dnsapi extends Disposable {
  readonly call: Deno.DynamicLibrary<typeof symbols>["symbols"];
}

/** @throws {MissingLibraryError} */
export function openDnsapi(): Dnsapi {
  const library = openLibrary("dnsapi.dll", symbols);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}
