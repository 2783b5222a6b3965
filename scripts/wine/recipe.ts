/**
 * What the private Wine is made of. Its hash names the directory in the cache,
 * so that a changed recipe is built anew and an unchanged one never.
 */
import { cacheDirectory } from "../../tests/support/cache_directory.ts";

/** Everything that the result depends on. */
export const RECIPE = {
  /** Raised where the building itself changes. */
  revision: 3,
  /** The first release whose Wine runs Deno. */
  suite: "trixie",
  /** util-linux: `setpriv` and `nsenter` for those who run things inside. */
  packages: ["wine64", "util-linux"],
  /** Not needed to run programs. */
  excluded: ["./usr/share/doc", "./usr/share/locale", "./usr/share/man"],
  deno: "2.9.5",
} as const;

/** A Wine that is built, with the Windows build of Deno beside it. */
export interface Wine {
  readonly directory: string;
  /** Takes the place of the machine's `/usr` where Wine runs. */
  readonly usr: string;
  /** A prefix after its first start, to be copied. */
  readonly prefix: string;
  /** The Windows build of Deno. */
  readonly deno: string;
}

/** Where the Wine of this recipe lies, or will. */
export async function wineOfRecipe(): Promise<Wine> {
  const text = new TextEncoder().encode(JSON.stringify(RECIPE));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return wineIn(`${cacheDirectory()}/wine-${hash.toHex().slice(0, 16)}`);
}

/** The Wine in a directory. */
export function wineIn(directory: string): Wine {
  return {
    directory,
    usr: `${directory}/usr`,
    prefix: `${directory}/prefix`,
    deno: `${directory}/deno/deno.exe`,
  };
}

/** The Wine in the cache; undefined where it has not been built. */
export async function cachedWine(): Promise<Wine | undefined> {
  const wine = await wineOfRecipe();
  return await Deno.stat(wine.directory).then(() => wine, () => undefined);
}
