/** Which files of the project a program is made of. */
import { readImports, sourceFiles } from "../layers/graph.ts";

/** The files that modules need to run, themselves included; types need none. */
export async function modulesOf(
  entries: readonly string[],
): Promise<ReadonlySet<string>> {
  const sources = await sourceFiles();
  const needs = new Map<string, string[]>(sources.map((file) => [file, []]));
  for (const { from, to, kind } of await readImports(sources)) {
    if (kind === "code") needs.get(from)?.push(to);
  }
  const found = new Set<string>();
  const open = [...entries];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (found.has(file) || isPackage(file)) continue;
    found.add(file);
    open.push(...needs.get(file) ?? []);
  }
  return found;
}

/** A package, not a file of the project. */
function isPackage(specifier: string): boolean {
  return !/^(?:main\.ts|deno\.json|src\/.*|ffi\/.*|config\/.*)$/.test(
    specifier,
  );
}
