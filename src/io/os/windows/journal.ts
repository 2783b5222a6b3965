/**
 * Where Windows keeps the journal, and whose it is.
 *
 * Start times are those of the calendar, so that no boot has to be told; there
 * is one table of processes and one network. What an earlier boot left counts:
 * rules of the firewall and of name resolution are still there.
 */
import { openKernel32 } from "../../../../ffi/windows/kernel32.ts";
import type { Journal } from "../../ports.ts";
import { openJournalIn } from "../journal.ts";
import type { ProcessIdentity } from "../journal_format.ts";
import { Security } from "./security.ts";
import { sharedDataFolder } from "./system_folders.ts";

const FOLDER = "sluice";
const ONE = "windows";
const QUERY_LIMITED = 0x1000;
const FILETIME_BYTES = 8;

/** The usual places: for administrators all programs' data, else the user's own. */
export function journalDirectories(): string[] {
  using security = new Security();
  const parent = security.isElevated()
    ? sharedDataFolder()
    : Deno.env.get("LOCALAPPDATA");
  return parent === undefined ? [] : [`${parent}\\${FOLDER}`];
}

/** Opens the journal of this process; writes nothing yet. */
export function openJournal(
  directories: readonly string[],
  owner: ProcessIdentity = currentProcess(),
): Journal {
  return openJournalIn(directories, { owner, isAlive, prepareDirectory });
}

/** Who this process is. */
export function currentProcess(): ProcessIdentity {
  return identify(Deno.pid);
}

/** Who a process is; one that does not run has no start time. */
export function identify(processId: number): ProcessIdentity {
  return {
    processId,
    startTime: startTimeOf(processId) ?? "",
    boot: ONE,
    processes: ONE,
    network: ONE,
  };
}

/** Whether a process still runs. */
export function isAlive(process: ProcessIdentity): boolean {
  return startTimeOf(process.processId) === process.startTime;
}

function prepareDirectory(directory: string): string | undefined {
  using security = new Security();
  try {
    if (security.isElevated()) return security.closedFolder(directory);
    // A user's own data are closed to others already.
    Deno.mkdirSync(directory, { recursive: true });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** When a process started, in 100 ns since 1601; undefined where there is none. */
function startTimeOf(processId: number): string | undefined {
  using kernel32 = openKernel32();
  const { OpenProcess, GetProcessTimes, CloseHandle } = kernel32.call;
  const handle = OpenProcess(QUERY_LIMITED, 0, processId);
  if (handle === 0) return undefined;
  try {
    const times = Array.from(
      { length: 4 },
      () => new Uint8Array(FILETIME_BYTES),
    );
    const [created, ended, kernel, user] = times;
    if (GetProcessTimes(handle, created, ended, kernel, user) === 0) {
      return undefined;
    }
    // Somebody still holds what is left of it.
    const end = new BigUint64Array(ended.buffer)[0];
    return end === 0n
      ? String(new BigUint64Array(created.buffer)[0])
      : undefined;
  } finally {
    CloseHandle(handle);
  }
}
