/**
 * What a program is: its executable, its user, when it started. Kept with an
 * open handle of the process: while it is open the system gives its id to
 * nobody else.
 *
 * Source: "Process Handles and Identifiers", QueryFullProcessImageNameW,
 * GetProcessTimes, Microsoft Win32 documentation.
 */
import type { Advapi32 } from "../../../../ffi/windows/advapi32.ts";
import { type Kernel32, WAIT } from "../../../../ffi/windows/kernel32.ts";
import { readWideText } from "../../../../ffi/windows/wide_text.ts";
import { readU32le, writeU32le } from "../../../core/wire/bytes.ts";
import { type Account, AccountNames } from "./account_names.ts";

/** Gives the path and the times of other users' processes too. */
const PROCESS_QUERY_LIMITED_INFORMATION = 0x1000;
/** For the wait that tells whether it has ended. */
const SYNCHRONIZE = 0x0010_0000;
/** Longer paths than MAX_PATH exist; this is the longest of the system. */
const PATH_CHARACTERS = 32_768;
/** Programs whose facts are kept, each with a handle. */
const KEPT = 1024;

/** What is known of a running program. */
export interface ProcessFacts {
  readonly processId: number;
  /** In ms since 1601, with fractions: the system counts in 100 ns. */
  readonly startTime: number;
  readonly path: string | undefined;
  readonly account: Account;
}

interface Kept {
  readonly handle: number;
  readonly facts: ProcessFacts;
}

/** What the cache works with. */
export interface ProcessFactsOptions {
  /** A program whose facts are kept turned out to have ended. */
  readonly onEnded: (processId: number) => void;
}

/** Facts of programs, for one thread. */
export class ProcessFactsCache implements Disposable {
  readonly #kernel32: Kernel32;
  readonly #accounts: AccountNames;
  readonly #options: ProcessFactsOptions;
  readonly #path = new Uint8Array(2 * PATH_CHARACTERS);
  readonly #length = new Uint8Array(4);
  readonly #times = [0, 1, 2, 3].map(() => new Uint8Array(8));
  /** The one used last comes last. */
  readonly #kept = new Map<number, Kept>();
  hits = 0;
  reads = 0;

  constructor(
    libraries: { readonly kernel32: Kernel32; readonly advapi32: Advapi32 },
    options: ProcessFactsOptions,
  ) {
    this.#kernel32 = libraries.kernel32;
    this.#accounts = new AccountNames(libraries);
    this.#options = options;
  }

  /** A program's facts; undefined where it has ended, or is hidden from us. */
  get(processId: number): ProcessFacts | undefined {
    const kept = this.#kept.get(processId);
    if (kept !== undefined) {
      this.#kept.delete(processId);
      if (this.#lives(kept.handle)) {
        const known = this.#withPath(kept);
        this.#kept.set(processId, known);
        this.hits++;
        return known.facts;
      }
      this.#kernel32.call.CloseHandle(kept.handle);
      this.#options.onEnded(processId);
    }
    return this.#read(processId);
  }

  [Symbol.dispose](): void {
    for (const { handle } of this.#kept.values()) {
      this.#kernel32.call.CloseHandle(handle);
    }
    this.#kept.clear();
    this.#accounts[Symbol.dispose]();
  }

  #read(processId: number): ProcessFacts | undefined {
    const { call } = this.#kernel32;
    const handle = call.OpenProcess(
      PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE,
      0,
      processId,
    );
    if (handle === 0) return undefined;
    this.reads++;
    const startTime = this.#startTime(handle);
    if (startTime === undefined || !this.#lives(handle)) {
      call.CloseHandle(handle);
      return undefined;
    }
    const facts: ProcessFacts = {
      processId,
      startTime,
      path: this.#pathOf(handle),
      account: this.#accounts.of(handle),
    };
    this.#keep(handle, facts);
    return facts;
  }

  /** One that was seen while it was being made may have its path by now, and its time. */
  #withPath(kept: Kept): Kept {
    const { handle, facts } = kept;
    if (facts.path !== undefined) return kept;
    const path = this.#pathOf(handle);
    if (path === undefined) return kept;
    const startTime = this.#startTime(handle) ?? facts.startTime;
    return { handle, facts: { ...facts, path, startTime } };
  }

  #keep(handle: number, facts: ProcessFacts): void {
    this.#kept.set(facts.processId, { handle, facts });
    if (this.#kept.size <= KEPT) return;
    const [[oldest, kept]] = this.#kept;
    this.#kept.delete(oldest);
    this.#kernel32.call.CloseHandle(kept.handle);
  }

  /** A handle is signalled once its process has ended. */
  #lives(handle: number): boolean {
    return this.#kernel32.call.WaitForSingleObject(handle, 0) === WAIT.TIMEOUT;
  }

  #startTime(handle: number): number | undefined {
    const [created, exited, kernel, user] = this.#times;
    const { GetProcessTimes } = this.#kernel32.call;
    if (GetProcessTimes(handle, created, exited, kernel, user) === 0) {
      return undefined;
    }
    return readU32le(created, 4) * (2 ** 32 / 1e4) +
      readU32le(created, 0) / 1e4;
  }

  #pathOf(handle: number): string | undefined {
    writeU32le(this.#length, 0, PATH_CHARACTERS);
    const { QueryFullProcessImageNameW } = this.#kernel32.call;
    if (
      QueryFullProcessImageNameW(handle, 0, this.#path, this.#length) === 0
    ) return undefined;
    return readWideText(this.#path, 0, 2 * readU32le(this.#length, 0));
  }
}
