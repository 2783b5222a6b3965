/** Runs programs of the system. */
import type { CommandResult } from "./ports/startup_tasks.ts";

/**
 * Runs a program to its end, without input.
 * @throws Deno.errors.NotFound where there is no such program.
 */
export async function runCommand(
  program: string,
  args: readonly string[],
): Promise<CommandResult> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  const text = [stdout, stderr].map((bytes) => decoder.decode(bytes).trim())
    .filter((part) => part !== "").join("\n");
  return { success, text };
}
