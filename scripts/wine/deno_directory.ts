/**
 * A DENO_DIR for the Windows build, filled on this system: packages are the same
 * files for both. Named by the hash of the lock file.
 */
import { cacheDirectory } from "../../tests/support/cache_directory.ts";
import { runCommand } from "../../tests/support/process.ts";

const PROJECT = new URL("../..", import.meta.url).pathname;

/** The directory, filled where the cache lacks it. */
export async function wineDenoDirectory(): Promise<string> {
  const lock = await Deno.readFile(`${PROJECT}/deno.lock`);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", lock));
  const directory = `${cacheDirectory()}/wine-deno-${
    hash.toHex().slice(0, 16)
  }`;
  if (await Deno.stat(directory).then(() => true, () => false)) {
    return directory;
  }
  const building = await Deno.makeTempDir({
    dir: cacheDirectory(),
    prefix: "wine-deno-being-filled-",
  });
  try {
    await runCommand([Deno.execPath(), "install", "--frozen"], {
      cwd: PROJECT,
      env: { DENO_DIR: building },
      timeoutMs: 120_000,
    });
    // Another process may have filled it in the meantime: with the same.
    await Deno.rename(building, directory).catch(() => {});
  } finally {
    await Deno.remove(building, { recursive: true }).catch(() => {});
  }
  return directory;
}
