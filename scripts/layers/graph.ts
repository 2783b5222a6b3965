/** The project's module graph, as `deno info --json` sees it. */
import type { Import } from "./rules.ts";

const ROOT = new URL("../../", import.meta.url);

interface InfoModule {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly specifier: string;
    readonly code?: { readonly specifier?: string };
    readonly type?: { readonly specifier?: string };
  }[];
}

/** Paths of all source files of the product, relative to the project. */
export async function sourceFiles(): Promise<string[]> {
  const files = ["main.ts"];
  for (const folder of ["ffi", "src"]) await collect(folder, files);
  return files.sort();
}

async function collect(folder: string, files: string[]): Promise<void> {
  for await (const entry of Deno.readDir(new URL(`${folder}/`, ROOT))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) await collect(path, files);
    else if (/\.(ts|js|mjs)$/.test(entry.name)) files.push(path);
  }
}

/**
 * Every import of the given files.
 *
 * @throws Error where `deno info` fails.
 */
export async function readImports(files: readonly string[]): Promise<Import[]> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const lines = files.map((file) =>
      `import ${JSON.stringify(new URL(file, ROOT).href)};`
    );
    await Deno.writeTextFile(entry, lines.join("\n"));
    const config = new URL("deno.json", ROOT).pathname;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--config", config, entry],
    }).output();
    if (code !== 0) {
      throw new Error(`deno info: ${new TextDecoder().decode(stderr)}`);
    }
    const { modules }: { modules: InfoModule[] } = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    return modules.filter(({ specifier }) => isOurs(specifier)).flatMap(
      importsOf,
    );
  } finally {
    await Deno.remove(entry);
  }
}

function isOurs(specifier: string): boolean {
  return specifier.startsWith(ROOT.href) &&
    !specifier.includes("/node_modules/");
}

function importsOf({ specifier, dependencies = [] }: InfoModule): Import[] {
  const from = relative(specifier);
  return dependencies.map((dependency) => {
    const resolved = dependency.code?.specifier ?? dependency.type?.specifier ??
      "";
    return {
      from,
      to: isOurs(resolved) ? relative(resolved) : dependency.specifier,
      kind: dependency.code ? "code" : "type",
    };
  });
}

function relative(specifier: string): string {
  return specifier.slice(ROOT.href.length);
}

/** The text of a project file. */
export function readSource(file: string): Promise<string> {
  return Deno.readTextFile(new URL(file, ROOT));
}
