/** How this very program is started, for a system that is to start it. */
import { isAbsolute, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** A program and what stands before the words of its user. */
export interface OwnProgram {
  readonly program: string;
  readonly args: readonly string[];
}

/** The executable itself where it is one; Deno with our module else. */
export function ownProgram(): OwnProgram {
  const program = Deno.execPath();
  if (Deno.build.standalone) return { program, args: [] };
  return { program, args: ["run", "-A", fileURLToPath(Deno.mainModule)] };
}

/** Variables that name folders whose content may go at any time. */
const TEMPORARY_VARIABLES = ["TMPDIR", "TMP", "TEMP"];
const TEMPORARY_FOLDERS = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

/** The temporary folder that a path lies in; undefined where it lies in none. */
export function temporaryFolderOf(path: string): string | undefined {
  const named = TEMPORARY_VARIABLES.flatMap((name) => Deno.env.get(name) || []);
  return [...named, ...TEMPORARY_FOLDERS].find((folder) => {
    const inside = relative(resolve(folder), path);
    return inside !== "" && !inside.startsWith("..") && !isAbsolute(inside);
  });
}
