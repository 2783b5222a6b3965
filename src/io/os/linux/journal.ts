/** Where Linux keeps the journal, and whose it is. */
import type { Journal } from "../../ports.ts";
import { openJournalIn } from "../journal.ts";
import type { ProcessIdentity } from "../journal_format.ts";
import { currentProcess, isAlive } from "./journal_owner.ts";

/** Where and for whom to keep a journal. */
export interface JournalOptions {
  /**
   * Directories to try in order; the first one that can be made, is ours and
   * is closed to others is used. Without one the journal is in memory only.
   */
  readonly directories: readonly string[];
  /** The process that owns what is recorded. */
  readonly owner?: ProcessIdentity;
}

/** The usual places: /run for root, the session's directory for a user. */
export function journalDirectories(): string[] {
  const session = Deno.env.get("XDG_RUNTIME_DIR");
  const directories = Deno.uid() === 0 ? ["/run/sluice"] : [];
  if (session !== undefined && session.startsWith("/")) {
    directories.push(`${session}/sluice`);
  }
  return directories;
}

/** Opens the journal of this process; writes nothing yet. */
export function openJournal(options: JournalOptions): Journal {
  const { directories, owner = currentProcess() } = options;
  return openJournalIn(directories, { owner, isAlive, prepareDirectory });
}

/** @returns why the directory is not fit, or undefined. */
function prepareDirectory(directory: string): string | undefined {
  try {
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const info = Deno.lstatSync(directory);
    if (!info.isDirectory) return "not a directory";
    if (info.uid !== Deno.uid()) return "belongs to another user";
    if (((info.mode ?? 0) & 0o077) !== 0) Deno.chmodSync(directory, 0o700);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
