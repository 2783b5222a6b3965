/**
 * Whether this Windows is Wine, where tests run with stand-ins for what it
 * lacks. The real Windows must never take its libraries from where an
 * environment variable says: programs with more rights would load them too.
 */

/**
 * The path of a stand-in that an environment variable names; undefined where
 * there is none, and always outside of Wine.
 */
export function standInOf(variable: string): string | undefined {
  const path = Deno.env.get(variable);
  return path !== undefined && runsUnderWine() ? path : undefined;
}

/** Wine's ntdll.dll tells its version: const char *wine_get_version(void). */
export function runsUnderWine(): boolean {
  const library = Deno.dlopen("ntdll.dll", {
    wine_get_version: { parameters: [], result: "pointer", optional: true },
  });
  try {
    return library.symbols.wine_get_version !== null;
  } finally {
    library.close();
  }
}
