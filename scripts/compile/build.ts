/** Makes one executable: clean copy, compiler, resources, a look at what is in it. */
import { join } from "node:path";
import { copySources, workerModules } from "./clean_copy.ts";
import { type EmbeddedFiles, readEmbeddedFiles } from "./embedded_files.ts";
import { modulesOf } from "./module_graph.ts";
import type { Target } from "./targets.ts";
import { withResources } from "./windows_resources.ts";

/** What to make of what. */
export interface BuildOptions {
  readonly project: string;
  readonly target: Target;
  readonly version: string;
  /** Where the executable goes; the folder exists. */
  readonly output: string;
  /** The base to use in place of the one that the compiler fetches. */
  readonly base?: string;
}

/** What was made. */
export interface Built {
  readonly files: EmbeddedFiles;
  readonly bytes: number;
}

/** The compiler, or what it made, is not as it should be. */
export class BuildError extends Error {
  override readonly name = "BuildError";
}

/** Makes it. @throws {BuildError} */
export async function build(options: BuildOptions): Promise<Built> {
  const { project, target, version, output } = options;
  const folder = await Deno.makeTempDir({ prefix: "sluice-compile-" });
  try {
    const copied = await copySources(project, folder);
    const workers = await workerModules(folder, copied);
    await compile(folder, workers, options);
    if (target.format === "pe") {
      const plain = await Deno.readFile(output);
      await Deno.writeFile(
        output,
        withResources(plain, { version, file: target.file }),
      );
    }
    const executable = await Deno.readFile(output);
    const files = readEmbeddedFiles(executable);
    requireSame(files.own, await modulesOf(["main.ts", ...workers]));
    return { files, bytes: executable.length };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function compile(
  folder: string,
  workers: readonly string[],
  { target, output, base }: BuildOptions,
): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["compile", "--frozen", "--no-check", "--allow-all"],
      "--exclude-unused-npm",
      ...["--target", target.triple],
      ...workers.flatMap((worker) => ["--include", worker]),
      ...["--output", output],
      "main.ts",
    ],
    cwd: folder,
    env: { NO_COLOR: "1", ...(base && { DENORT_BIN: base }) },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return;
  throw new BuildError(
    `deno compile for ${target.triple}: ${new TextDecoder().decode(stderr)}`,
  );
}

/** What is in it is what it needs, and nothing else. */
function requireSame(
  embedded: readonly string[],
  needed: ReadonlySet<string>,
): void {
  const has = new Set(embedded);
  const missing = [...needed].filter((path) => !has.has(path));
  const surplus = embedded.filter((path) => !needed.has(path));
  if (missing.length + surplus.length === 0) return;
  throw new BuildError(
    `the executable lacks ${list(missing)} and has too much ${list(surplus)}`,
  );
}

function list(paths: readonly string[]): string {
  return paths.length === 0 ? "nothing" : paths.map(quote).join(", ");
}

function quote(path: string): string {
  return join("./", path);
}
