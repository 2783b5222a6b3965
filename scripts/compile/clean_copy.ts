/**
 * The sources in a folder of their own: what lies beside them in a working copy
 * (node_modules, caches, configs with keys) must not get into an executable.
 */
import { dirname, join } from "node:path";

/** What an executable is made of, relative to the project. */
const PARTS = ["main.ts", "deno.json", "deno.lock", "src", "ffi", "config"];
const SOURCES = /\.(?:ts|json|wasm|yaml|lock)$/;

/** Copies them. @returns the paths of the copies, relative to the folder. */
export async function copySources(
  project: string,
  folder: string,
): Promise<string[]> {
  const copied: string[] = [];
  for (const part of PARTS) {
    for await (const path of filesUnder(project, part)) {
      const to = join(folder, path);
      await Deno.mkdir(dirname(to), { recursive: true });
      await Deno.copyFile(join(project, path), to);
      copied.push(path);
    }
  }
  return copied;
}

async function* filesUnder(
  project: string,
  path: string,
): AsyncGenerator<string> {
  const info = await Deno.lstat(join(project, path));
  if (info.isFile && SOURCES.test(path)) yield path;
  if (!info.isDirectory) return;
  for await (const { name } of Deno.readDir(join(project, path))) {
    yield* filesUnder(project, `${path}/${name}`);
  }
}

/** Modules that workers begin with: nothing imports them, code only names them. */
export async function workerModules(
  folder: string,
  files: readonly string[],
): Promise<string[]> {
  const found = new Set<string>();
  for (const file of files) {
    if (!file.endsWith(".ts")) continue;
    const text = await Deno.readTextFile(join(folder, file));
    for (
      const [, name] of text.matchAll(/import\.meta\.resolve\(\s*"(\.[^"]+)"/g)
    ) {
      found.add(join(dirname(file), name));
    }
  }
  return [...found].sort();
}
