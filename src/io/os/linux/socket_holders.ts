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
/**
 * Descriptors of a process where something new was found lately, used again
 * maybe: as many as a busy program opens and closes at a time.
 */
const PLACES = 64;
/** New descriptors of a process that are looked at before it is read whole. */
const NEW_ONES = 64;
/** Descriptors that are remembered of all processes together. */
const REMEMBERED = 200_000;
/** The first process hands sockets to services and keeps a copy. */
const INIT = 1;
/** Searches that may go on later. */
const CUT_KEPT = 1024;
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
  /** The number of its last reading. */
  reading: number;
  /** Descriptors that this reading has not come to, rising. */
  readonly unread: number[];
  /** Where something new was found, the latest first. */
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
  /** Searches that were cut short, by socket: what was read since then is not read again. */
  readonly #cut = new Map<number, number>();
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
    const since = this.#cut.get(inode) ?? this.#reading;
    this.#cut.delete(inode);
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
    if (this.#cut.size >= CUT_KEPT) this.#cut.clear();
    this.#cut.set(inode, since);
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
    for (const place of known.places.slice()) {
      if (this.#holders.get(inode)?.processId === processId) break;
      this.#look(known, processId, place);
    }
    return this.#foundIn(processId, inode);
  }

  /** @returns whether there is a descriptor of that number. */
  #look(known: Known, processId: number, descriptor: number): boolean {
    const inode = this.#files.socketOfProcess(processId, descriptor);
    if (inode === FdLink.None) return false;
    if (known.descriptors.get(descriptor) !== inode) {
      this.#remember(known, processId, { descriptor, inode });
      notePlace(known, descriptor);
    }
    return true;
  }

  /**
   * Reads all descriptors of a process, unless that was done since then. A reading
   * that was cut short is gone on with, whoever began it: searches that restarted
   * each other's would never end.
   */
  #read(
    processId: number,
    inode: number,
    since: number,
  ): Search | undefined {
    for (;;) {
      const before = this.#known.get(processId);
      const isFresh = before !== undefined && before.reading > since;
      if (isFresh && before.unread.length === 0) return undefined;
      if (this.#isOver()) return this.#cutShort(inode, since);
      const directory = this.#files.openDescriptors(processId);
      if (directory < 0) {
        this.forget(processId);
        return undefined;
      }
      this.#hasRead = true;
      const known = before !== undefined && before.unread.length > 0
        ? before
        : this.#beginReading(processId, directory);
      this.#readLinks(directory, processId, known);
      this.#files.close(directory);
      this.#makeRoom();
      const found = this.#foundIn(processId, inode);
      if (found !== undefined) return found;
    }
  }

  /** Reads links, the highest first, where sockets come and go most, until the time is over. */
  #readLinks(directory: number, processId: number, known: Known): void {
    const { unread, descriptors } = known;
    for (let left = LINKS_PER_LOOK; unread.length > 0; left--) {
      if (left === 0) {
        if (this.#isOver()) return;
        left = LINKS_PER_LOOK;
      }
      const descriptor = unread.pop()!;
      // What this reading itself has open is closed before the next one.
      if (descriptor === directory && processId === Deno.pid) continue;
      const link = this.#files.socketAt(directory, descriptor);
      // Of thousands hardly any differ from what they were.
      const before = descriptors.get(descriptor);
      if (link === FdLink.None || before === link) continue;
      this.#remember(known, processId, { descriptor, inode: link });
      if (before !== undefined) notePlace(known, descriptor);
    }
  }

  /** Forgets descriptors that are closed. */
  #keepOnly(known: Known, processId: number, open: ReadonlySet<number>): void {
    for (const [descriptor, inode] of known.descriptors) {
      if (open.has(descriptor)) continue;
      known.descriptors.delete(descriptor);
      this.#remembered--;
      this.#drop(inode, processId, descriptor);
    }
  }

  #beginReading(processId: number, directory: number): Known {
    const known: Known = this.#known.get(processId) ?? {
      descriptors: new Map(),
      reading: 0,
      unread: [],
      places: [],
      lowestFree: 0,
    };
    known.reading = ++this.#reading;
    known.lowestFree = 0;
    this.#files.numbers(directory, (number) => known.unread.push(number));
    this.#keepOnly(known, processId, new Set(known.unread));
    // The one that was read last comes last.
    this.#known.delete(processId);
    this.#known.set(processId, known);
    return known;
  }

  #foundIn(processId: number, inode: number): Search | undefined {
    const holder = this.#holders.get(inode);
    if (holder?.processId !== processId) return undefined;
    return { kind: "found", holder };
  }

  #remember(
    known: Known,
    processId: number,
    link: { descriptor: number; inode: number },
  ): void {
    const { descriptor, inode } = link;
    const before = known.descriptors.get(descriptor);
    if (before === undefined) this.#remembered++;
    else if (before !== inode) this.#drop(before, processId, descriptor);
    known.descriptors.set(descriptor, inode);
    if (inode !== FdLink.Other) {
      this.#holders.set(inode, { processId, descriptor });
    }
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

function notePlace({ places }: Known, descriptor: number): void {
  const at = places.indexOf(descriptor);
  if (at >= 0) places.splice(at, 1);
  places.unshift(descriptor);
  if (places.length > PLACES) places.pop();
}
