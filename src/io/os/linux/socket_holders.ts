/**
 * Which process holds a socket: the links under /proc/PID/fd, remembered and
 * always looked at again before they are believed.
 *
 * Nothing tells of a new socket, so one that is not remembered is searched for,
 * where it most likely is first:
 *
 * 1. in the processes that searches have ended at lately, among the descriptors
 *    that a new socket may have got (the system gives the lowest free one);
 * 2. in processes that were never read, the newest first, whole;
 * 3. in the recent ones, whole;
 * 4. in all others like in 1, and then whole.
 *
 * What is read on the way is remembered too, so that one search serves the
 * flows after it. Of several holders the newest is told: a service rather than
 * the one that opened its socket for it.
 */
import { FdLink, type ProcFiles } from "./proc_files.ts";

/** Processes that are looked at first. */
const RECENT = 4;
/** Descriptors of a process where sockets were found lately, used again maybe. */
const PLACES = 2;
/** New descriptors of a process that are looked at before it is read whole. */
const NEW_ONES = 64;
/** Descriptors that are remembered of all processes together. */
const REMEMBERED = 200_000;
/** The first process hands sockets to services and keeps a copy. */
const INIT = 1;
/** Links between two looks at the clock. */
const LINKS_PER_LOOK = 512;

/** A process and its descriptor of the socket. */
export interface Holder {
  readonly processId: number;
  readonly descriptor: number;
}

/** What a search came to. */
export type Search =
  | { readonly kind: "found"; readonly holder: Holder }
  | { readonly kind: "absent" }
  /** The time was over; the next search for it goes on. */
  | { readonly kind: "unfinished" };

/** What a search is bounded by. */
export interface SearchLimits {
  /** Clock in ms. */
  readonly now: () => number;
  /** A search ends after so long. */
  readonly searchMs: number;
}

/** What was read of one process. */
interface Known {
  /** What each descriptor was: an inode, or 0 for something else. */
  readonly descriptors: Map<number, number>;
  /** The number of its reading. */
  readonly reading: number;
  /** How many descriptors were read before the time was over. */
  readUntil: number | undefined;
  /** Where sockets were found, the latest first. */
  readonly places: number[];
  /** No descriptor below it is free. */
  lowestFree: number;
}

/** Remembers who holds which socket, for one thread. */
export class SocketHolders {
  readonly #files: ProcFiles;
  readonly #limits: SearchLimits;
  readonly #known = new Map<number, Known>();
  readonly #holders = new Map<number, Holder>();
  /** The latest first. */
  readonly #recent: number[] = [];
  #remembered = 0;
  #reading = 0;
  /** The search that was cut short: what was read since then is not read again. */
  #cut: { readonly inode: number; readonly since: number } | undefined;
  #deadline = 0;
  #hasRead = false;

  constructor(files: ProcFiles, limits: SearchLimits) {
    this.#files = files;
    this.#limits = limits;
  }

  /** Who is remembered to hold a socket; may have ended or closed it since. */
  remembered(inode: number): Holder | undefined {
    return this.#holders.get(inode);
  }

  /** Notes that a search for this process's sockets is likely to come again. */
  noteUse(processId: number): void {
    const recent = this.#recent;
    if (recent[0] === processId || processId === INIT) return;
    const at = recent.indexOf(processId);
    if (at > 0) recent.splice(at, 1);
    recent.unshift(processId);
    if (recent.length > RECENT) recent.pop();
  }

  /** Reads what all processes hold: what is new later is found sooner then. */
  readAll(): void {
    this.#deadline = Infinity;
    for (const processId of this.#files.processes()) {
      this.#read(processId, FdLink.None, this.#reading);
    }
  }

  /** Reads what processes hold until the socket turns up. */
  search(inode: number): Search {
    this.#deadline = this.#limits.now() + this.#limits.searchMs;
    this.#hasRead = false;
    const since = this.#cut?.inode === inode ? this.#cut.since : this.#reading;
    this.#cut = undefined;
    for (const processId of this.#recent) {
      const found = this.#probe(processId, inode);
      if (found !== undefined) return found;
    }
    const processes = this.#files.processes().reverse();
    this.#forgetEnded(processes);
    const strangers = processes.filter((id) => !this.#known.has(id));
    for (const processId of [...strangers, ...this.#recent]) {
      const found = this.#read(processId, inode, since);
      if (found !== undefined) return found;
    }
    for (const processId of processes) {
      const found = this.#probe(processId, inode);
      if (found !== undefined) return found;
    }
    for (const processId of processes) {
      const found = this.#read(processId, inode, since);
      if (found !== undefined) return found;
    }
    return { kind: "absent" };
  }

  /** Who was remembered to hold it does no more. */
  forgetSocket(inode: number): void {
    this.#holders.delete(inode);
  }

  /** Drops what is remembered of a process that has ended. */
  forget(processId: number): void {
    const known = this.#known.get(processId);
    if (known === undefined) return;
    this.#known.delete(processId);
    this.#remembered -= known.descriptors.size;
    for (const [descriptor, inode] of known.descriptors) {
      this.#drop(inode, processId, descriptor);
    }
    const at = this.#recent.indexOf(processId);
    if (at >= 0) this.#recent.splice(at, 1);
  }

  /** Each search reads at least something, so that the next one goes on. */
  #isOver(): boolean {
    return this.#hasRead && this.#limits.now() >= this.#deadline;
  }

  #cutShort(inode: number, since: number): Search {
    this.#cut = { inode, since };
    return { kind: "unfinished" };
  }

  /** Looks at the descriptors that a new socket may have got. */
  #probe(processId: number, inode: number): Search | undefined {
    const known = this.#known.get(processId);
    if (known === undefined) return undefined;
    // Where one is new, the next one may be new too.
    for (let i = 0; i < NEW_ONES; i++) {
      while (known.descriptors.has(known.lowestFree)) known.lowestFree++;
      if (!this.#look(known, processId, known.lowestFree)) break;
    }
    for (const place of known.places) this.#look(known, processId, place);
    return this.#foundIn(processId, inode);
  }

  /** @returns whether there is a descriptor of that number. */
  #look(known: Known, processId: number, descriptor: number): boolean {
    const inode = this.#files.socketOfProcess(processId, descriptor);
    if (inode === FdLink.None) return false;
    this.#remember(known, processId, { descriptor, inode });
    return true;
  }

  /** Reads all descriptors of a process, unless that was done since then. */
  #read(
    processId: number,
    inode: number,
    since: number,
  ): Search | undefined {
    const before = this.#known.get(processId);
    const fresh = before !== undefined && before.reading > since;
    if (fresh && before.readUntil === undefined) return undefined;
    if (this.#isOver()) return this.#cutShort(inode, since);
    const directory = this.#files.openDescriptors(processId);
    if (directory < 0) {
      this.forget(processId);
      return undefined;
    }
    this.#hasRead = true;
    const known = fresh ? before : this.#knowAnew(processId);
    this.#readLinks(directory, processId, known);
    this.#files.close(directory);
    this.#makeRoom();
    return this.#foundIn(processId, inode) ??
      (known.readUntil === undefined
        ? undefined
        : this.#cutShort(inode, since));
  }

  /** Reads links from where the last reading ended until the time is over. */
  #readLinks(directory: number, processId: number, known: Known): void {
    const numbers: number[] = [];
    this.#files.numbers(directory, (number) => numbers.push(number));
    for (let i = known.readUntil ?? 0; i < numbers.length; i++) {
      const descriptor = numbers[i];
      // What this reading itself has open is closed before the next one.
      if (descriptor === directory && processId === Deno.pid) continue;
      const link = this.#files.socketAt(directory, descriptor);
      if (link !== FdLink.None) {
        this.#remember(known, processId, { descriptor, inode: link });
      }
      if (i % LINKS_PER_LOOK === LINKS_PER_LOOK - 1 && this.#isOver()) {
        known.readUntil = i + 1;
        return;
      }
    }
    known.readUntil = undefined;
  }

  #knowAnew(processId: number): Known {
    this.#forgetKnown(processId);
    const known = {
      descriptors: new Map<number, number>(),
      reading: ++this.#reading,
      readUntil: undefined,
      places: [],
      lowestFree: 0,
    };
    this.#known.set(processId, known);
    return known;
  }

  #foundIn(processId: number, inode: number): Search | undefined {
    const holder = this.#holders.get(inode);
    if (holder?.processId !== processId) return undefined;
    const places = this.#known.get(processId)?.places;
    if (places !== undefined && !places.includes(holder.descriptor)) {
      places.unshift(holder.descriptor);
      if (places.length > PLACES) places.pop();
    }
    return { kind: "found", holder };
  }

  #remember(
    known: Known,
    processId: number,
    link: { descriptor: number; inode: number },
  ): void {
    const { descriptor, inode } = link;
    if (!known.descriptors.has(descriptor)) this.#remembered++;
    known.descriptors.set(descriptor, inode);
    if (inode !== FdLink.Other) {
      this.#holders.set(inode, { processId, descriptor });
    }
  }

  /** Like forgetting, but a process that is read anew stays a recent one. */
  #forgetKnown(processId: number): void {
    const at = this.#recent.indexOf(processId);
    this.forget(processId);
    if (at >= 0) this.#recent.splice(at, 0, processId);
  }

  #forgetEnded(living: readonly number[]): void {
    const alive = new Set(living);
    for (const processId of [...this.#known.keys()]) {
      if (!alive.has(processId)) this.forget(processId);
    }
  }

  #drop(inode: number, processId: number, descriptor: number): void {
    const holder = this.#holders.get(inode);
    if (
      holder?.processId === processId && holder.descriptor === descriptor
    ) this.#holders.delete(inode);
  }

  /** Forgets what was read longest ago, down to the bound. */
  #makeRoom(): void {
    for (const processId of this.#known.keys()) {
      if (this.#remembered <= REMEMBERED || this.#known.size <= 1) return;
      this.forget(processId);
    }
  }
}
