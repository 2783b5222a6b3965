/**
 * `deno task layers`: fails on an import that the layers forbid, and on a global
 * in `core` that would bring in the outside world.
 */
import { checkGlobals } from "./layers/globals.ts";
import { readImports, readSource, sourceFiles } from "./layers/graph.ts";
import { checkImports, type Violation } from "./layers/rules.ts";

/** Everything that is wrong with the layers of the project. */
export async function checkLayers(): Promise<Violation[]> {
  const files = await sourceFiles();
  const violations = checkImports(await readImports(files));
  for (const file of files.filter((file) => file.startsWith("src/core/"))) {
    violations.push(...checkGlobals(file, await readSource(file)));
  }
  return violations;
}

if (import.meta.main) {
  const violations = await checkLayers();
  for (const { file, message } of violations) {
    console.error(`${file} ${message}`);
  }
  if (violations.length > 0) Deno.exit(1);
  console.log("layers: every import is allowed, core uses no outside world");
}
