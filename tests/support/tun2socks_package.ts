/**
 * xjasonlyu's tun2socks, built by the machine's Go from the Go module proxy and
 * kept in the cache folder: what the benchmark of `sluice tun2socks` is measured
 * against.
 */
import { cacheDirectory } from "./cache_directory.ts";
import { runCommand } from "./process.ts";

const MODULE = "github.com/xjasonlyu/tun2socks/v2";
/** The version that is built. */
export const TUN2SOCKS_VERSION = "v2.6.0";
const BUILD_TIMEOUT_MS = 600_000;

// A module that requires it, not `go install`: that asks the proxy for a list of
// versions, which not every proxy has.
const GO_MOD = `module bench

go 1.23

require ${MODULE} ${TUN2SOCKS_VERSION}
`;

/** The program, or one line that says why there is none. */
export type Tun2socksPackage =
  | { readonly kind: "program"; readonly path: string }
  | { readonly kind: "missing"; readonly reason: string };

/** Builds the program where the cache lacks it. */
export async function fetchTun2socks(): Promise<Tun2socksPackage> {
  const path = `${cacheDirectory()}/tun2socks-${TUN2SOCKS_VERSION}`;
  if (await exists(path)) return { kind: "program", path };
  const go = await findGo();
  if (go === undefined) {
    return { kind: "missing", reason: "there is no go to build tun2socks" };
  }
  const work = await Deno.makeTempDir({ prefix: "sluice-tun2socks-" });
  try {
    await Deno.writeTextFile(`${work}/go.mod`, GO_MOD);
    await Deno.mkdir(cacheDirectory(), { recursive: true });
    await runCommand(
      [go, "build", "-mod=mod", "-trimpath", "-o", `${path}.new`, MODULE],
      { cwd: work, env: { CGO_ENABLED: "0" }, timeoutMs: BUILD_TIMEOUT_MS },
    );
    await runCommand([`${path}.new`, "-version"]);
    await Deno.rename(`${path}.new`, path);
    return { kind: "program", path };
  } catch (error) {
    const line = error instanceof Error ? error.message.split("\n").at(-1) : "";
    return { kind: "missing", reason: `tun2socks was not built: ${line}` };
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function findGo(): Promise<string | undefined> {
  const directories = (Deno.env.get("PATH") ?? "").split(":");
  for (const directory of [...directories, "/usr/local/go/bin"]) {
    if (await exists(`${directory}/go`)) return `${directory}/go`;
  }
  return undefined;
}

function exists(path: string): Promise<boolean> {
  return Deno.stat(path).then((found) => found.isFile, () => false);
}
