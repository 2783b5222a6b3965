/**
 * wireguard-go from Debian trixie (0.0.20231211 or newer: the first with
 * offloads). The program is static, so that it runs on older releases too.
 */
import { cacheDirectory } from "./cache_directory.ts";
import { PrivateApt } from "./private_apt.ts";
import { runCommand } from "./process.ts";

const SUITE = "trixie";

/** Path of the fetched program; undefined where it has not been fetched. */
export async function cachedWireguardGo(): Promise<string | undefined> {
  const path = `${cacheDirectory()}/wireguard-go`;
  return await Deno.stat(path).then(() => path, () => undefined);
}

/**
 * Fetches the program where the cache lacks it.
 *
 * @returns its path.
 * @throws CommandError where apt or dpkg fail.
 */
export async function fetchWireguardGo(): Promise<string> {
  const cached = await cachedWireguardGo();
  if (cached) return cached;
  const work = await Deno.makeTempDir({ prefix: "sluice-wireguard-go-" });
  try {
    const apt = await PrivateApt.open(work, SUITE);
    const [file] = await apt.download("wireguard-go");
    await runCommand(["dpkg-deb", "-x", file, `${work}/unpacked`]);
    await Deno.mkdir(cacheDirectory(), { recursive: true });
    const path = `${cacheDirectory()}/wireguard-go`;
    await Deno.copyFile(`${work}/unpacked/usr/bin/wireguard-go`, `${path}.new`);
    await Deno.chmod(`${path}.new`, 0o755);
    await runCommand([`${path}.new`, "--version"]);
    await Deno.rename(`${path}.new`, path);
    return path;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}
