/**
 * Undoing what a killed process left: its journal says what it had changed.
 */
import type { Journal, JournalEntry, Leftover } from "../ports.ts";

/** @returns what was undone, or undefined where nothing was left. */
export type Undo = (entry: JournalEntry) => string | undefined;

/**
 * Undoes the journals of dead processes, the last change first.
 * @returns a line about each thing undone, each failure and each file that made
 * no sense.
 */
export function recoverLeftovers(journal: Journal, undo: Undo): string[] {
  return journal.leftovers().flatMap((leftover) => {
    if (leftover.kind === "malformed") {
      journal.forget(leftover);
      const { path, reason } = leftover;
      return [`put aside ${path}, a journal that makes no sense: ${reason}`];
    }
    return recoverEntries(journal, leftover, undo);
  });
}

function recoverEntries(
  journal: Journal,
  leftover: Leftover & { kind: "entries" },
  undo: Undo,
): string[] {
  const lines: string[] = [];
  let open = false;
  for (const entry of leftover.entries.toReversed()) {
    if (entry.kind !== "file" && leftover.network !== "ours") {
      open ||= leftover.network === "other";
      continue;
    }
    try {
      const undone = undo(entry);
      if (undone === undefined) continue;
      lines.push(`${undone}, left by process ${leftover.processId}`);
    } catch (error) {
      open = true;
      lines.push(error instanceof Error ? error.message : String(error));
    }
  }
  // What could not be undone yet is tried again by the next start.
  if (!open) journal.forget(leftover);
  return lines;
}

/** Removes a file; a directory is none of ours. @returns what was undone. */
export function removeFile(path: string): string | undefined {
  try {
    const info = Deno.lstatSync(path);
    if (info.isDirectory) return undefined;
    Deno.removeSync(path);
    return `removed ${path}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
