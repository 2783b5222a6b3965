/**
 * Builds Wine into the cache: Debian's packages unpacked, never installed; its
 * modules stripped; a prefix after its first start; the Windows build of Deno
 * from the npm registry.
 */
import { cacheDirectory } from "../../tests/support/cache_directory.ts";
import { PrivateApt } from "../../tests/support/private_apt.ts";
import { runCommand } from "../../tests/support/process.ts";
import { LOADER, unshareCommand, wineEnvironment } from "./place.ts";
import {
  cachedWine,
  RECIPE,
  type Wine,
  wineIn,
  wineOfRecipe,
} from "./recipe.ts";

const MODULES = "lib/x86_64-linux-gnu/wine/x86_64-windows";
/** Offset and text of what tells Wine that a module is one of its own. */
const BUILTIN = { at: 64, text: "Wine builtin DLL", length: 32 } as const;
const STRIP = "x86_64-w64-mingw32-strip";

/**
 * Builds Wine where the cache lacks it.
 * @throws CommandError where a program fails.
 */
export async function buildWine(): Promise<Wine> {
  const cached = await cachedWine();
  if (cached) return cached;
  await Deno.mkdir(cacheDirectory(), { recursive: true });
  const work = await Deno.makeTempDir({
    dir: cacheDirectory(),
    prefix: "wine-being-built-",
  });
  try {
    const building = wineIn(`${work}/wine`);
    await Promise.all([unpackWine(work, building), fetchDeno(work, building)]);
    await makePrefix(building);
    const wine = await wineOfRecipe();
    // Where another process was faster, its result is the same.
    await Deno.rename(building.directory, wine.directory).catch(
      async (error) => {
        if (!await cachedWine()) throw error;
      },
    );
    return wine;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function unpackWine(work: string, wine: Wine): Promise<void> {
  const apt = await PrivateApt.open(`${work}/apt`, RECIPE.suite);
  const packages = await apt.downloadClosure(RECIPE.packages);
  const root = `${work}/root`;
  await Deno.mkdir(root);
  await inParallel(packages, 16, async (files) => {
    const exclude = RECIPE.excluded.map((path) => `--exclude=${path}`);
    const script = 'root=$1; exclude=$2; shift 2; for f in "$@"; do ' +
      'dpkg-deb --fsys-tarfile "$f" | ' +
      'tar -x -C "$root" --keep-directory-symlink $exclude || exit; done';
    await run([
      "sh",
      "-c",
      script,
      "unpack",
      root,
      exclude.join(" "),
      ...files,
    ]);
  });
  await takeLibraries(root);
  await addZlib(`${root}/usr`);
  await strip(`${root}/usr/${MODULES}`);
  await Deno.mkdir(wine.directory, { recursive: true });
  await Deno.rename(`${root}/usr`, wine.usr);
}

/** Packages from before the merge of `/lib` into `/usr/lib` have files in both. */
async function takeLibraries(root: string): Promise<void> {
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    const found = await Deno.lstat(`${root}/${name}`).catch(() => undefined);
    if (!found?.isDirectory) continue;
    await run(["cp", "-a", `${root}/${name}/.`, `${root}/usr/${name}/`]);
  }
}

/** What the package's own script does when it is installed. */
async function addZlib(usr: string): Promise<void> {
  const name = "zlib1.dll";
  const bytes = await Deno.readFile(`${usr}/x86_64-w64-mingw32/lib/${name}`);
  bytes.fill(0, BUILTIN.at, BUILTIN.at + BUILTIN.length);
  bytes.set(new TextEncoder().encode(BUILTIN.text), BUILTIN.at);
  await Deno.writeFile(`${usr}/${MODULES}/${name}`, bytes);
}

/** Debug information is two thirds of it. */
async function strip(directory: string): Promise<void> {
  const files = [];
  for await (const { name, isFile } of Deno.readDir(directory)) {
    if (isFile) files.push(`${directory}/${name}`);
  }
  // It leaves files alone that are no modules, and says so by its exit code.
  await inParallel(files, 64, async (some) => {
    await run([STRIP, "--strip-debug", ...some], "any");
  });
}

async function fetchDeno(work: string, wine: Wine): Promise<void> {
  const directory = `${work}/npm`;
  await Deno.mkdir(directory);
  const name = `@deno/win32-x64@${RECIPE.deno}`;
  await run(["npm", "pack", name, "--pack-destination", directory]);
  for await (const { name } of Deno.readDir(directory)) {
    if (!name.endsWith(".tgz")) continue;
    await run(["tar", "-xzf", `${directory}/${name}`, "-C", directory]);
  }
  await Deno.mkdir(`${wine.directory}/deno`, { recursive: true });
  await Deno.rename(`${directory}/package/deno.exe`, wine.deno);
}

/** The first start takes seconds; what it makes is kept, and shares its modules. */
async function makePrefix(wine: Wine): Promise<void> {
  const env = wineEnvironment({ prefix: wine.prefix });
  // wineserver writes the registry when it ends, a while after the last program.
  const script = `${LOADER} wineboot.exe --init && ${env.WINESERVER} --wait`;
  await runCommand([...unshareCommand(wine), "eval", script], {
    env,
    timeoutMs: 120_000,
  });
  const system = `${wine.prefix}/drive_c/windows/system32`;
  for await (const { name, isFile } of Deno.readDir(system)) {
    const module = await Deno.stat(`${wine.usr}/${MODULES}/${name}`)
      .catch(() => undefined);
    const own = await Deno.stat(`${system}/${name}`);
    if (!isFile || module?.size !== own.size) continue;
    await Deno.remove(`${system}/${name}`);
    await Deno.symlink(`/usr/${MODULES}/${name}`, `${system}/${name}`);
  }
  await Deno.remove(`${wine.prefix}/drive_c/windows/winsxs`, {
    recursive: true,
  });
}

async function run(
  command: readonly string[],
  exit: "success" | "any" = "success",
): Promise<void> {
  await runCommand(command, { timeoutMs: 300_000, exit });
}

/** Does `work` on `items`, `count` at once by command, on as many as there are cores. */
async function inParallel<T>(
  items: readonly T[],
  count: number,
  work: (items: readonly T[]) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      next += count;
      await work(items.slice(next - count, next));
    }
  };
  const workers = Array.from({ length: navigator.hardwareConcurrency }, worker);
  await Promise.all(workers);
}
