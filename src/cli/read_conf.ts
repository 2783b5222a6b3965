/** The text of a .conf file that the user has named. */
import { ExitCode, UserError } from "./errors.ts";

/**
 * Reads the file.
 * @param advice what to do where it can't be read
 * @throws {UserError}
 */
export async function readConf(file: string, advice?: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (cause) {
    const reason = cause instanceof Deno.errors.NotFound
      ? "there is no such file"
      : (cause as Error).message;
    throw new UserError(
      `cannot read ${file}: ${reason}`,
      advice,
      ExitCode.Usage,
      { cause },
    );
  }
}
