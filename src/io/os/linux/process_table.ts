/**
 * Which program a flow belongs to, on Linux: socket by sock_diag, holder by
 * /proc/PID/fd, facts by /proc/PID, ancestors by the process connector.
 */
import { cString, type Libc } from "../../../../ffi/libc.ts";
import type {
  FlowEnds,
  FlowOwner,
  Lineage,
  ProcessInfo,
  ProcessTable,
  ProcessTableCounters,
  UnknownOwner,
} from "../../ports.ts";
import { openClock } from "./clock.ts";
import { echoSockets } from "./echo_sockets.ts";
import { NetlinkError } from "./netlink_socket.ts";
import { ProcFiles } from "./proc_files.ts";
import { fileName, parseExecutable, parseProcStat } from "./proc_texts.ts";
import { openProcessEvents, type ProcessEvents } from "./process_events.ts";
import { type ProcessFacts, ProcessFactsCache } from "./process_facts.ts";
import { ProcessTree, type Sighting } from "../process_tree.ts";
import { type FoundSocket, SocketDiag } from "./socket_diag.ts";
import { SocketHolders } from "./socket_holders.ts";
import { UdpNeighbours } from "./udp_neighbours.ts";
import { UserNames } from "./user_names.ts";

const EXE = cString("exe");
/** How long one look-up may search. */
const SEARCH_MS = 50;
const GENERATIONS = 64;

/** How a process table is opened. */
export interface ProcessTableOptions {
  readonly libc: Libc;
  /** `asking`: without the process connector, as where it isn't allowed. */
  readonly lineage?: Lineage["kind"];
  /** How long one look-up may search; 50 ms by default. */
  readonly searchMs?: number;
}

/**
 * Opens the table of this network namespace's sockets and all processes that
 * /proc shows.
 * @throws {LibcError} where the system has no sock_diag.
 */
export function openProcessTable(options: ProcessTableOptions): ProcessTable {
  return new LinuxProcessTable(options);
}

class LinuxProcessTable implements ProcessTable {
  readonly lineage: Lineage;
  readonly #files: ProcFiles;
  readonly #diag: SocketDiag;
  readonly #events: ProcessEvents | undefined;
  readonly #holders: SocketHolders;
  readonly #facts: ProcessFactsCache;
  readonly #tree = new ProcessTree();
  readonly #users = new UserNames();
  readonly #now: () => number;
  readonly #neighbours: UdpNeighbours;
  readonly #unknown: Record<UnknownOwner, number> = {
    "no-socket": 0,
    "closed": 0,
    "no-holder": 0,
    "shared": 0,
    "ended": 0,
    "unfinished": 0,
  };
  #holderHits = 0;
  #holderSearches = 0;
  #eventsLost = 0;

  constructor(options: ProcessTableOptions) {
    const { libc, lineage = "events", searchMs = SEARCH_MS } = options;
    this.#now = openClock(libc);
    this.#files = new ProcFiles(libc);
    this.#diag = new SocketDiag(libc);
    this.#neighbours = new UdpNeighbours(this.#diag, this.#now);
    this.#holders = new SocketHolders(this.#files, {
      now: this.#now,
      searchMs,
    });
    this.#facts = new ProcessFactsCache(this.#files, {
      now: this.#now,
      onEnded: (processId) => this.#tree.end(processId),
    });
    // Listening comes before looking: nobody is missed in between.
    const opened = lineage === "events"
      ? openProcessEvents(libc)
      : { kind: "unavailable" as const, reason: "not asked for" };
    this.#events = opened.kind === "open" ? opened.events : undefined;
    this.lineage = opened.kind === "open"
      ? { kind: "events" }
      : { kind: "asking", reason: opened.reason };
    this.#observeAll();
    this.#holders.readAll();
  }

  get descriptor(): number | undefined {
    return this.#events?.descriptor;
  }

  ownerOf(flow: FlowEnds): FlowOwner {
    this.drain();
    const owner = this.#ownerOf(flow);
    if (typeof owner === "string") {
      this.#unknown[owner]++;
      return { kind: "unknown", reason: owner };
    }
    return { kind: "process", process: this.#describe(owner) };
  }

  process(processId: number): ProcessInfo | undefined {
    this.drain();
    const facts = this.#facts.get(processId);
    return facts && this.#describe(facts);
  }

  drain(): void {
    const lost = this.#events?.drain({
      started: (processId, parentId) => this.#tree.start(processId, parentId),
      changed: (processId, what) => {
        this.#facts.forget(processId);
        if (what === "program") this.#noteProgram(processId);
      },
      ended: (processId) => {
        this.#facts.forget(processId);
        this.#holders.forget(processId);
        this.#tree.end(processId);
      },
    });
    if (lost) {
      this.#eventsLost++;
      this.#observeAll();
    }
  }

  counters(): ProcessTableCounters {
    return {
      holderHits: this.#holderHits,
      holderSearches: this.#holderSearches,
      processHits: this.#facts.hits,
      processReads: this.#facts.reads,
      linksRead: this.#files.linksRead,
      unknown: { ...this.#unknown },
      events: this.#events?.read ?? 0,
      eventsLost: this.#eventsLost,
    };
  }

  [Symbol.dispose](): void {
    this.#facts[Symbol.dispose]();
    this.#events?.[Symbol.dispose]();
    this.#diag[Symbol.dispose]();
  }

  #ownerOf(flow: FlowEnds): ProcessFacts | UnknownOwner {
    if (flow.protocol === "icmp") return this.#echoOwner(flow);
    let socket: FoundSocket | undefined;
    try {
      socket = this.#diag.find(flow);
      if (socket === undefined) return "no-socket";
      if (socket.inode === 0) return "closed";
      if (flow.protocol === "udp" && !this.#neighbours.isAlone(socket, flow)) {
        return this.#onlyOwner(socket, flow);
      }
    } catch (error) {
      if (error instanceof NetlinkError) return "unfinished";
      throw error;
    }
    return this.#holderOf(socket.inode);
  }

  /** Who holds a socket: as remembered if that is still so, else by a search. */
  #holderOf(inode: number): ProcessFacts | UnknownOwner {
    const remembered = this.#holders.remembered(inode);
    const known = remembered && this.#facts.holding(remembered, inode);
    if (known !== undefined) {
      this.#holderHits++;
      this.#holders.noteUse(known.processId);
      return known;
    }
    this.#holderSearches++;
    this.#holders.forgetSocket(inode);
    const search = this.#holders.search(inode);
    if (search.kind === "unfinished") return "unfinished";
    if (search.kind === "absent") return "no-holder";
    this.#holders.noteUse(search.holder.processId);
    return this.#facts.holding(search.holder, inode) ?? "ended";
  }

  /** Several sockets fit: an owner is known where one program has them all. */
  #onlyOwner(
    socket: FoundSocket,
    flow: FlowEnds,
  ): ProcessFacts | UnknownOwner {
    let owner: ProcessFacts | undefined;
    for (const { inode } of this.#neighbours.fittest(socket, flow)) {
      const holder = this.#holderOf(inode);
      if (typeof holder === "string") return holder;
      const same = owner === undefined || (owner.path === holder.path &&
        owner.path !== undefined && owner.userId === holder.userId);
      if (!same && owner?.processId !== holder.processId) return "shared";
      owner = holder;
    }
    return owner ?? "ended";
  }

  /** An echo is of a program where all sockets that it may be of are; ours aside, which are not captured. */
  #echoOwner(flow: FlowEnds): ProcessFacts | UnknownOwner {
    let owner: ProcessFacts | undefined;
    let unknown: UnknownOwner = "no-socket";
    for (const { inode } of echoSockets(flow)) {
      const holder = inode === 0 ? "closed" : this.#holderOf(inode);
      if (typeof holder === "string") {
        if (holder === "unfinished" || holder === "no-holder") return holder;
        unknown = holder;
        continue;
      }
      if (holder.processId === Deno.pid) continue;
      if (owner !== undefined && !this.#isAlike(owner, holder)) return "shared";
      owner = holder;
    }
    return owner ?? unknown;
  }

  /** Whether rules see two processes as the same. */
  #isAlike(one: ProcessFacts, other: ProcessFacts): boolean {
    if (one.processId === other.processId) return true;
    const [a, b] = [one, other].map((facts) => {
      const { path, userId, ancestors } = this.#describe(facts);
      return path &&
        JSON.stringify([path, userId, ancestors.map(({ path }) => path)]);
    });
    return a !== undefined && a === b;
  }

  #describe(facts: ProcessFacts): ProcessInfo {
    const { processId, startTime, path, name, file, userId } = facts;
    this.#observe(facts);
    return {
      processId,
      startTime,
      path,
      name,
      ended: false,
      file,
      userId,
      user: this.#users.name(userId),
      ancestors: this.#tree.ancestors(processId),
    };
  }

  /** Takes a process into the tree, those above it first where they are unknown. */
  #observe(facts: ProcessFacts): void {
    if (!this.#tree.has(facts.processId, facts.startTime)) {
      const line: Sighting[] = [];
      let { parentId } = facts;
      while (parentId > 0 && line.length < GENERATIONS) {
        const parent = this.#sight(parentId);
        if (parent === undefined) break;
        line.push(parent);
        if (this.#tree.has(parent.processId, parent.startTime)) break;
        parentId = parent.parentId;
      }
      for (const sighting of line.reverse()) this.#tree.observe(sighting);
    }
    this.#tree.observe(facts);
  }

  /** Looks at all processes: at the start, and when events were lost. */
  #observeAll(): void {
    const sightings = this.#files.processes()
      .map((processId) => this.#sight(processId))
      .filter((sighting) => sighting !== undefined)
      .toSorted((a, b) =>
        a.startTime - b.startTime || a.processId - b.processId
      );
    const living = new Set(sightings.map(({ processId }) => processId));
    for (const processId of this.#tree.living()) {
      if (!living.has(processId)) this.#tree.end(processId);
    }
    for (const sighting of sightings) this.#tree.observe(sighting);
  }

  #sight(processId: number): Sighting | undefined {
    const directory = this.#files.openProcess(processId);
    if (directory < 0) return undefined;
    const stat = parseProcStat(this.#files.text(directory, "stat") ?? "");
    const link = this.#files.link(directory, EXE);
    this.#files.close(directory);
    if (stat === undefined || stat.dead) return undefined;
    const { startTime, parentId } = stat;
    const path = link && parseExecutable(link).path;
    const name = path === undefined ? stat.name : fileName(path);
    return { processId, startTime, parentId, path, name };
  }

  #noteProgram(processId: number): void {
    const sighting = this.#sight(processId);
    // Where it has ended already nobody knows what it was.
    this.#tree.change(processId, sighting?.path, sighting?.name ?? "");
  }
}
