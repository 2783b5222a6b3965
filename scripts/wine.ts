/**
 * A private Wine with the Windows build of Deno, in the user's cache:
 *
 *   deno run -A scripts/wine.ts                     builds it where it lacks, says where
 *   deno run -A scripts/wine.ts run PROGRAM ARGS…   runs a Windows program in it
 *
 *     --netns NAME     in this network namespace (a name of `ip netns`, or a path)
 *     --prefix DIR     a prefix to keep; a fresh one for this run where left out
 *     --beside FILE    a DLL that is to lie beside deno.exe; may be repeated
 *
 * PROGRAM is a file or a program of Wine's own; `deno` is the Windows build of
 * Deno, with the project's dependencies in its cache. Paths may be written as
 * the machine has them. When PROGRAM ends everything in Wine ends, and its exit
 * code is ours.
 */
import { parseArgs } from "node:util";
import { buildWine } from "./wine/build.ts";
import { wineDenoDirectory } from "./wine/deno_directory.ts";
import { runInWine } from "./wine/run.ts";

/** Splits what is ours from PROGRAM and its arguments. */
function parseRun(args: string[]) {
  const { tokens } = parseArgs({
    args,
    options: RUN_OPTIONS,
    strict: false,
    tokens: true,
  });
  const program = tokens.find((token) => token.kind === "positional");
  if (!program) throw new Error("which program?");
  const { values } = parseArgs({
    args: args.slice(0, program.index),
    options: RUN_OPTIONS,
  });
  return { ...values, command: args.slice(program.index) };
}

const RUN_OPTIONS = {
  netns: { type: "string" },
  prefix: { type: "string" },
  beside: { type: "string", multiple: true },
} as const;

if (import.meta.main) {
  const [verb, ...args] = Deno.args;
  if (verb === undefined) {
    const { directory } = await buildWine();
    await wineDenoDirectory();
    console.log(directory);
  } else if (verb === "run") Deno.exit(await runInWine(parseRun(args)));
  else {
    console.error("usage: wine.ts [run [--netns NAME] PROGRAM ARGS…]");
    Deno.exit(2);
  }
}
