/**
 * What is to be undone, on disk: written before something is changed on the
 * host, so that the next start can undo what a killed process left.
 *
 * Each process has a file of its own in the state directory, closed to others
 * and named by its process id:
 *
 *     { "version": 1,
 *       "owner": { "processId", "startTime", "boot", "processes", "network" },
 *       "scopes": { "network:sluice0": [ { "kind": "route", ... }, ... ] } }
 *
 * A process is told from a later one with the same id by its start time. The
 * entries of another boot, or of other namespaces, are none of our business
 * except for files.
 */
import { parseJournal, type ProcessIdentity } from "./journal_format.ts";
import type {
  Journal,
  JournalEntry,
  JournalLocation,
  Leftover,
} from "../ports.ts";

const FILE_NAME = /^([1-9]\d*)\.json$/;

/** What a system knows of processes and of directories. */
export interface JournalSystem {
  /** The process that owns what is recorded. */
  readonly owner: ProcessIdentity;
  /** Whether a process of this boot and process namespace still runs. */
  isAlive(process: ProcessIdentity): boolean;
  /**
   * Makes a directory that is ours and closed to others.
   * @returns why it is not fit, or undefined.
   */
  prepareDirectory(directory: string): string | undefined;
}

/**
 * Opens the journal of a process; writes nothing yet.
 * @param directories to try in order; the first fit one is used. Without one
 * the journal is in memory only.
 */
export function openJournalIn(
  directories: readonly string[],
  system: JournalSystem,
): Journal {
  return new FileJournal(system, findDirectory(system, directories));
}

class FileJournal implements Journal {
  readonly location: JournalLocation;
  readonly #owner: ProcessIdentity;
  readonly #isAlive: JournalSystem["isAlive"];
  readonly #scopes = new Map<string, readonly JournalEntry[]>();

  constructor(system: JournalSystem, location: JournalLocation) {
    this.#owner = system.owner;
    this.#isAlive = system.isAlive;
    this.location = location;
  }

  record(scope: string, entries: readonly JournalEntry[]): void {
    if (entries.length === 0) this.#scopes.delete(scope);
    else this.#scopes.set(scope, entries);
    this.#save();
  }

  leftovers(): Leftover[] {
    if (this.location.kind === "memory") return [];
    const { directory } = this.location;
    return [...Deno.readDirSync(directory)]
      .filter((file) => file.isFile && FILE_NAME.test(file.name))
      .map((file) => this.#readLeftover(`${directory}/${file.name}`))
      .filter((leftover) => leftover !== undefined);
  }

  forget(leftover: Leftover): void {
    const { path } = leftover;
    if (leftover.kind === "entries") removeFile(path);
    else Deno.renameSync(path, `${path}.malformed`);
  }

  #readLeftover(path: string): Leftover | undefined {
    if (path === this.#path()) return undefined;
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch (error) {
      // Another process of ours ended or recovered meanwhile.
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    const parsed = parseJournal(text);
    if (parsed.kind === "malformed") {
      return { kind: "malformed", path, reason: parsed.reason };
    }
    const { owner, entries } = parsed;
    const { processId } = owner;
    if (owner.boot !== this.#owner.boot) {
      return { kind: "entries", path, processId, entries, network: "gone" };
    }
    // Process ids of another namespace mean nothing here.
    if (owner.processes !== this.#owner.processes) return undefined;
    if (this.#isAlive(owner)) return undefined;
    const network = owner.network === this.#owner.network ? "ours" : "other";
    return { kind: "entries", path, processId, entries, network };
  }

  #path(): string | undefined {
    return this.location.kind === "memory"
      ? undefined
      : `${this.location.directory}/${this.#owner.processId}.json`;
  }

  #save(): void {
    const path = this.#path();
    if (path === undefined) return;
    if (this.#scopes.size === 0) return removeFile(path);
    const scopes = Object.fromEntries(this.#scopes);
    const text = JSON.stringify({ version: 1, owner: this.#owner, scopes });
    writeAtomically(path, `${text}\n`);
  }
}

function writeAtomically(path: string, text: string): void {
  const temporary = `${path}.new`;
  removeFile(temporary);
  const file = Deno.openSync(temporary, {
    write: true,
    createNew: true,
    mode: 0o600,
  });
  try {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) {
      at += file.writeSync(bytes.subarray(at));
    }
    file.syncSync();
  } finally {
    file.close();
  }
  Deno.renameSync(temporary, path);
}

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function findDirectory(
  system: JournalSystem,
  directories: readonly string[],
): JournalLocation {
  const problems: string[] = [];
  for (const directory of directories) {
    const problem = system.prepareDirectory(directory);
    if (problem === undefined) return { kind: "directory", directory };
    problems.push(`${directory}: ${problem}`);
  }
  return { kind: "memory", problems };
}
