/**
 * Which program a flow belongs to, on Windows: socket by the tables of
 * iphlpapi.dll, facts by a handle of the process, ancestors by Toolhelp.
 *
 * A service is the program that runs it, svchost.exe for most; an app of the
 * store is its own executable. The system itself has the id 4 and no path.
 */
import { openAdvapi32 } from "../../../../ffi/windows/advapi32.ts";
import { openIphlpapi } from "../../../../ffi/windows/iphlpapi.ts";
import {
  type Kernel32,
  openKernel32,
} from "../../../../ffi/windows/kernel32.ts";
import { Win32Error } from "../../../../ffi/windows/win32_error.ts";
import type {
  FlowEnds,
  FlowOwner,
  Lineage,
  ProcessInfo,
  ProcessTable,
  ProcessTableCounters,
  UnknownOwner,
} from "../../ports.ts";
import { ProcessTree } from "../process_tree.ts";
import { type ProcessFacts, ProcessFactsCache } from "./process_facts.ts";
import { processSnapshot, type SeenProcess } from "./process_snapshot.ts";
import { SocketOwners } from "./socket_owners.ts";

/** Look-ups look at all processes anew after so long. */
const FRESH_MS = 500;
/** The id of the system's own threads. */
const SYSTEM_ID = 4;

/** What a test may give. */
export interface ProcessTableOptions {
  /** Clock in ms. */
  readonly now: () => number;
}

/** Opens the table of all processes that this one may see. */
export function openProcessTable(options: ProcessTableOptions): ProcessTable {
  return new WindowsProcessTable(options);
}

class WindowsProcessTable implements ProcessTable {
  readonly lineage: Lineage = {
    kind: "asking",
    reason: "Windows tells starts of programs to drivers only",
  };
  readonly descriptor = undefined;
  readonly #resources = new DisposableStack();
  readonly #kernel32: Kernel32;
  readonly #sockets: SocketOwners;
  readonly #facts: ProcessFactsCache;
  readonly #tree = new ProcessTree();
  readonly #names = new Map<number, string>();
  readonly #now: () => number;
  readonly #unknown: Record<UnknownOwner, number> = {
    "no-socket": 0,
    "closed": 0,
    "no-holder": 0,
    "shared": 0,
    "ended": 0,
    "unfinished": 0,
  };
  #lookedAt = -Infinity;
  #searches = 0;
  #looks = 0;

  constructor({ now }: ProcessTableOptions) {
    this.#now = now;
    using guard = new DisposableStack();
    const kernel32 = this.#kernel32 = guard.use(openKernel32());
    const advapi32 = guard.use(openAdvapi32());
    this.#sockets = new SocketOwners(guard.use(openIphlpapi()));
    this.#facts = guard.use(
      new ProcessFactsCache({ kernel32, advapi32 }, {
        onEnded: (processId) => this.#tree.end(processId),
      }),
    );
    this.#resources.use(guard.move());
    this.drain();
  }

  ownerOf(flow: FlowEnds): FlowOwner {
    const owner = this.#ownerOf(flow);
    if (typeof owner === "string") {
      this.#unknown[owner]++;
      return { kind: "unknown", reason: owner };
    }
    return { kind: "process", process: owner };
  }

  process(processId: number): ProcessInfo | undefined {
    const facts = this.#facts.get(processId);
    return facts && this.#describe(facts);
  }

  /** Nothing is told here: looks at all processes where that was long ago. */
  drain(): void {
    if (this.#now() - this.#lookedAt < FRESH_MS) return;
    this.#lookAtAll();
  }

  counters(): ProcessTableCounters {
    return {
      holderHits: 0,
      holderSearches: this.#searches,
      processHits: this.#facts.hits,
      processReads: this.#facts.reads,
      linksRead: this.#looks,
      unknown: { ...this.#unknown },
      events: 0,
      eventsLost: 0,
    };
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #ownerOf(flow: FlowEnds): ProcessInfo | UnknownOwner {
    this.#searches++;
    let owner;
    try {
      owner = this.#sockets.find(flow);
    } catch (error) {
      if (error instanceof Win32Error) return "unfinished";
      throw error;
    }
    if (typeof owner === "string") return owner;
    if (owner === SYSTEM_ID) return "no-holder";
    const { reads } = this.#facts;
    const facts = this.#facts.get(owner);
    if (facts === undefined) return "ended";
    // Of one that was not held until now the id may be another's since.
    const isNew = this.#facts.reads !== reads;
    if (isNew && this.#sockets.find(flow) !== owner) return "ended";
    return this.#describe(facts);
  }

  #describe(facts: ProcessFacts): ProcessInfo {
    const { processId, startTime, path, account } = facts;
    if (!this.#tree.has(processId, startTime)) this.#lookAtAll();
    else this.drain();
    return {
      processId,
      startTime,
      path,
      name: path === undefined
        ? this.#names.get(processId) ?? ""
        : fileName(path),
      ended: false,
      file: "present", // a file that runs can't be removed or replaced
      userId: account.userId,
      get user() {
        return account.user;
      },
      ancestors: this.#tree.ancestors(processId),
    };
  }

  /** Takes all processes in, parents before children, and notes who is gone. */
  #lookAtAll(): void {
    this.#lookedAt = this.#now();
    this.#looks++;
    const seen = processSnapshot(this.#kernel32);
    const living = new Set(seen.map(({ processId }) => processId));
    for (const processId of this.#tree.living()) {
      if (living.has(processId)) continue;
      this.#tree.end(processId);
      this.#names.delete(processId);
    }
    for (const { processId, name } of seen) this.#names.set(processId, name);
    const sightings = seen.map((process) => this.#sight(process))
      .filter((sighting) => sighting !== undefined)
      .toSorted((a, b) => a.startTime - b.startTime);
    for (const sighting of sightings) this.#tree.observe(sighting);
  }

  #sight({ processId, parentId, name }: SeenProcess) {
    const facts = this.#facts.get(processId);
    if (facts === undefined) return undefined;
    const { startTime, path } = facts;
    return { processId, startTime, parentId, path, name };
  }
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf("\\") + 1);
}
