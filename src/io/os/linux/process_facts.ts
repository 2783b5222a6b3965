/**
 * What a program is: its executable, its user, when it started. Kept with an
 * open descriptor of /proc/PID, which belongs to that very process: an id that
 * is used again is never taken for the old program.
 */
import { cString } from "../../../../ffi/libc.ts";
import type { ProcessInfo } from "../../ports.ts";
import type { ProcFiles } from "./proc_files.ts";
import {
  fileName,
  parseExecutable,
  parseProcStat,
  parseUserId,
  type ProcStat,
} from "./proc_texts.ts";

const EXE = cString("exe");
/** Programs whose facts are kept, each with a descriptor. */
const KEPT = 256;
/** A program may become another user's without a word: read again after that. */
const FRESH_MS = 1000;

/** What is known of a running program. */
export interface ProcessFacts {
  readonly processId: number;
  readonly startTime: number;
  readonly parentId: number;
  readonly path: string | undefined;
  readonly name: string;
  readonly file: ProcessInfo["file"];
  readonly userId: number;
}

/** What the cache works with. */
export interface ProcessFactsOptions {
  /** Clock in ms. */
  readonly now: () => number;
  /** A program whose facts are kept turned out to have ended. */
  readonly onEnded: (processId: number) => void;
}

interface Kept {
  readonly directory: number;
  readonly facts: ProcessFacts;
  /** The executable's link as it was; undefined where we may not read it. */
  readonly link: Uint8Array | undefined;
  readonly readAt: number;
}

/** Facts of programs, for one thread. */
export class ProcessFactsCache implements Disposable {
  readonly #files: ProcFiles;
  readonly #options: ProcessFactsOptions;
  readonly #encoder = new TextEncoder();
  /** The one used last comes last. */
  readonly #kept = new Map<number, Kept>();
  hits = 0;
  reads = 0;

  constructor(files: ProcFiles, options: ProcessFactsOptions) {
    this.#files = files;
    this.#options = options;
  }

  /** A program's facts as they are now; undefined where it has ended. */
  get(processId: number): ProcessFacts | undefined {
    return this.#current(processId)?.facts;
  }

  /**
   * A program's facts, if a descriptor of it is that socket: what is told then
   * is about the very process that holds it.
   */
  holding(
    holder: { readonly processId: number; readonly descriptor: number },
    inode: number,
  ): ProcessFacts | undefined {
    const current = this.#current(holder.processId);
    if (current === undefined) return undefined;
    const held = this.#files.socketOf(current.directory, holder.descriptor);
    return held === inode ? current.facts : undefined;
  }

  /** Drops what is known of a program: it has ended, or become another. */
  forget(processId: number): void {
    const kept = this.#kept.get(processId);
    if (kept === undefined) return;
    this.#kept.delete(processId);
    this.#files.close(kept.directory);
  }

  [Symbol.dispose](): void {
    for (const processId of [...this.#kept.keys()]) this.forget(processId);
  }

  #current(processId: number): Kept | undefined {
    const kept = this.#kept.get(processId);
    if (kept !== undefined) {
      const same = kept.link !== undefined &&
        this.#files.linkIs(kept.directory, EXE, kept.link);
      if (same && this.#options.now() - kept.readAt < FRESH_MS) {
        this.hits++;
        this.#kept.delete(processId);
        this.#kept.set(processId, kept);
        return kept;
      }
      // Start times count in hundredths of a second: this is the finer proof.
      if (this.#stat(kept.directory) === undefined) {
        this.#options.onEnded(processId);
      }
      this.forget(processId);
    }
    return this.#read(processId);
  }

  #read(processId: number): Kept | undefined {
    this.reads++;
    const directory = this.#files.openProcess(processId);
    if (directory < 0) return undefined;
    const facts = this.#factsIn(directory, processId);
    if (facts === undefined) {
      this.#files.close(directory);
      return undefined;
    }
    const kept = { directory, readAt: this.#options.now(), ...facts };
    this.#kept.set(processId, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT) this.forget(oldest);
    return kept;
  }

  /** The stat of a process that lives. */
  #stat(directory: number): ProcStat | undefined {
    const stat = parseProcStat(this.#files.text(directory, "stat") ?? "");
    return stat?.dead === false ? stat : undefined;
  }

  #factsIn(
    directory: number,
    processId: number,
  ): Pick<Kept, "facts" | "link"> | undefined {
    const stat = this.#stat(directory);
    if (stat === undefined) return undefined;
    const userId = parseUserId(this.#files.text(directory, "status") ?? "");
    if (userId === undefined) return undefined;
    const link = this.#files.link(directory, EXE);
    const { startTime, parentId } = stat;
    const common = { processId, startTime, parentId, userId };
    if (link === undefined) {
      return {
        link: undefined,
        facts: { ...common, path: undefined, name: stat.name, file: "unknown" },
      };
    }
    const { path, file } = executableIn(directory, link);
    return {
      link: this.#encoder.encode(link),
      facts: { ...common, path, name: fileName(path), file },
    };
  }
}

/** Whether a link's text names here the file that runs. */
function executableIn(
  directory: number,
  link: string,
): { path: string; file: ProcessInfo["file"] } {
  const running = fileIdentity(`/proc/self/fd/${directory}/exe`);
  if (running === undefined) return { path: link, file: "unknown" };
  if (fileIdentity(link) === running) return { path: link, file: "present" };
  const { path, deleted } = parseExecutable(link);
  return { path, file: deleted ? "deleted" : "other-root" };
}

function fileIdentity(path: string): string | undefined {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
