/** One Windows program, run to its end in a place of its own. */
import { buildWine } from "./build.ts";
import { wineDenoDirectory } from "./deno_directory.ts";
import { windowsPath, winePlace } from "./place.ts";
import { copyPrefix, programDirectory } from "./prefix.ts";

/** What to run and where. */
export interface RunOptions {
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** A name of `ip netns`, or a path. */
  readonly netns?: string;
  /** A prefix to keep; made where it isn't there. */
  readonly prefix?: string;
  /** DLLs that are to lie beside deno.exe. */
  readonly beside?: readonly string[];
}

/** Runs the program. @returns its exit code. */
export async function runInWine(options: RunOptions): Promise<number> {
  const wine = await buildWine();
  const directory = await Deno.makeTempDir({ prefix: "sluice-wine-" });
  // Ctrl+C reaches the program itself; we wait for its end.
  const ignore = () => {};
  Deno.addSignalListener("SIGINT", ignore);
  try {
    const prefix = options.prefix ?? `${directory}/prefix`;
    await copyPrefix(wine, prefix);
    const [program, ...args] = options.command;
    const deno = await programDirectory(
      wine,
      `${directory}/program`,
      options.beside ?? [],
    );
    const place = winePlace(wine, {
      prefix,
      env: { DENO_DIR: windowsPath(await wineDenoDirectory()) },
    });
    const command = [
      ...enterNetwork(options.netns),
      ...place.command,
      program === "deno" || program === "deno.exe" ? deno : program,
      ...args,
    ];
    const child = new Deno.Command(command[0], {
      args: command.slice(1),
      env: place.env,
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    return (await child.status).code;
  } finally {
    Deno.removeSignalListener("SIGINT", ignore);
    await Deno.remove(directory, { recursive: true });
  }
}

function enterNetwork(netns: string | undefined): string[] {
  if (netns === undefined) return [];
  const path = netns.includes("/") ? netns : `/run/netns/${netns}`;
  return ["nsenter", `--net=${path}`];
}
