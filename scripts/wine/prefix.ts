/** Directories that a Windows program needs for itself: a prefix, a place beside its DLLs. */
import { basename } from "node:path";
import { runCommand } from "../../tests/support/process.ts";
import type { Wine } from "./recipe.ts";

/** Copies the template to `directory` where no prefix is there yet. */
export async function copyPrefix(wine: Wine, directory: string): Promise<void> {
  if (await Deno.stat(directory).then(() => true, () => false)) return;
  await runCommand(["cp", "-a", "--reflink=auto", wine.prefix, directory]);
}

/**
 * Makes a directory with deno.exe and DLLs beside it, all as links.
 * @returns the path of its deno.exe.
 */
export async function programDirectory(
  wine: Wine,
  directory: string,
  beside: readonly string[],
): Promise<string> {
  await Deno.mkdir(directory, { recursive: true });
  const deno = `${directory}/deno.exe`;
  await Deno.symlink(wine.deno, deno);
  for (const file of beside) {
    await Deno.symlink(
      await Deno.realPath(file),
      `${directory}/${basename(file)}`,
    );
  }
  return deno;
}
