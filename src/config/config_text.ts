/** Reads configuration files as text, and says what is wrong with the file itself. */
import { parse } from "yaml";
import { ConfigError, type ConfigProblem } from "./problems.ts";

/** Longer files are refused: nobody writes them by hand. */
const SIZE_LIMIT = 16 * 1024 * 1024;

/** Whether there is a file at the path. */
export async function configExists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new ConfigError([fileProblem(path, describeReadError(error))]);
  }
}

/**
 * The text of a configuration file.
 * @throws ConfigError where it can't be read.
 */
export async function readConfigText(path: string): Promise<string> {
  const fail = (message: string) =>
    new ConfigError([fileProblem(path, message)]);
  try {
    const { size, isDirectory } = await Deno.stat(path);
    if (isDirectory) throw fail("is a directory, not a config file");
    if (size > SIZE_LIMIT) {
      throw fail(`is ${size} bytes long, too long for a config`);
    }
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fail(describeReadError(error));
  }
}

/** Why a file can't be read, for people. */
export function describeReadError(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "does not exist";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "can't be read: permission denied; run as its owner or change its mode";
  }
  const message = error instanceof Error ? error.message : String(error);
  return `can't be read: ${message}`;
}

/** A problem of the file as a whole. */
export function fileProblem(path: string, message: string): ConfigProblem {
  return { file: path, line: 0, column: 0, path: "", message };
}

/**
 * A warning where every user may read a file that holds secrets.
 * @param what of it, as in «key file».
 */
export async function openFileWarnings(
  path: string,
  what: string,
): Promise<ConfigProblem[]> {
  const { mode, uid } = await Deno.stat(path);
  // Where users have no numbers, modes are made up: Windows.
  if (uid === null || mode === null || (mode & 0o007) === 0) return [];
  return [fileProblem(
    path,
    `every user of this machine may read this ${what} and the keys in it; run: chmod 600 ${path}`,
  )];
}

/** Names of a config's sections; none where the text is no YAML: loading says why. */
export function configSections(text: string): string[] {
  try {
    return Object.keys(parse(text) ?? {});
  } catch {
    return [];
  }
}
