/**
 * C sources built by mingw into the cache, named by a hash of what they are
 * built from: stand-ins for DLLs, and programs that tests run.
 */
import { basename } from "node:path";
import { cacheDirectory } from "../../support/cache_directory.ts";
import { runCommand } from "../../support/process.ts";

/** The compiler; Debian's package gcc-mingw-w64-x86-64. */
export const COMPILER = "x86_64-w64-mingw32-gcc";

/** What to build. */
export interface WindowsBuild {
  /** The file's name with `.dll` or `.exe`, which says what is linked. */
  readonly name: string;
  /** Paths of C sources. */
  readonly sources: readonly string[];
  /** Paths of headers that the sources include. */
  readonly headers?: readonly string[];
  /** Libraries to link, e.g. "ws2_32". */
  readonly libraries?: readonly string[];
  /** More arguments of the compiler. */
  readonly flags?: readonly string[];
}

/**
 * Builds a file for Windows where the cache lacks it.
 * @returns its path: in a directory of its own, under its own name.
 * @throws CommandError with the compiler's words.
 */
export async function buildForWindows(build: WindowsBuild): Promise<string> {
  const directory = `${cacheDirectory()}/windows-${await hash(build)}`;
  const path = `${directory}/${build.name}`;
  if (await Deno.stat(path).then(() => true, () => false)) return path;
  await Deno.mkdir(cacheDirectory(), { recursive: true });
  const work = await Deno.makeTempDir({ dir: cacheDirectory() });
  try {
    await runCommand([
      COMPILER,
      "-O2",
      "-Wall",
      "-Wextra",
      "-Werror",
      ...(build.name.endsWith(".dll") ? ["-shared"] : []),
      ...build.flags ?? [],
      ...new Set(build.headers?.map((file) => `-I${parent(file)}`)),
      "-o",
      `${work}/${build.name}`,
      ...build.sources,
      "-static-libgcc",
      ...(build.libraries ?? []).map((library) => `-l${library}`),
    ], { timeoutMs: 120_000 });
    // Another test may have built the same in the meantime.
    await Deno.rename(work, directory).catch(() => {});
  } finally {
    await Deno.remove(work, { recursive: true }).catch(() => {});
  }
  return path;
}

async function hash(build: WindowsBuild): Promise<string> {
  const { sources, headers = [], ...rest } = build;
  const texts = await Promise.all(
    [...sources, ...headers].map(async (path) => [
      basename(path),
      await Deno.readTextFile(path),
    ]),
  );
  const text = new TextEncoder().encode(JSON.stringify([rest, texts]));
  const digest = await crypto.subtle.digest("SHA-256", text);
  return new Uint8Array(digest).toHex().slice(0, 16);
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
