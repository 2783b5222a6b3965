/**
 * Which program a flow belongs to.
 *
 * A look-up blocks for a bounded time and is made once for a flow, by the thread
 * that opened the table. What it says holds for that flow only: ports, sockets
 * and process ids are used again by others.
 */
import type { AddressWords } from "../../core/wire/address.ts";

/** A flow as this host sees it: its own end and the other one. */
export interface FlowEnds {
  /** `icmp`: echoes, of either family. */
  readonly protocol: "tcp" | "udp" | "icmp";
  /** Address words. */
  readonly local: AddressWords;
  /** Of an echo its identifier. */
  readonly localPort: number;
  readonly remote: AddressWords;
  readonly remotePort: number;
  /**
   * The system's number of the interface that it leaves by; needed to find
   * sockets that are bound to one.
   */
  readonly interfaceIndex?: number;
}

/** A program that runs or ran: one of the line that started another. */
export interface ProcessOrigin {
  readonly processId: number;
  /** When it started, in the system's own unit; tells it from a later one of that id. */
  readonly startTime: number | undefined;
  /** The executable; undefined where the system doesn't tell us. */
  readonly path: string | undefined;
  /** The executable's file name; without a path, what the system calls it. */
  readonly name: string;
  /** Whether it has ended. */
  readonly ended: boolean;
}

/** A program that runs. */
export interface ProcessInfo extends ProcessOrigin {
  readonly startTime: number;
  readonly ended: false;
  /**
   * `deleted`: the file was removed or replaced since the program started.
   * `other-root`: the path is one of another file system tree (a container's),
   * where it may name another program than here.
   */
  readonly file: "present" | "deleted" | "other-root" | "unknown";
  /**
   * The user's number, and his name or else the number as text. To ask for the
   * name may take a while: only who needs it does.
   */
  readonly userId: number;
  readonly user: string;
  /** Who started it, who started that one, and so on. */
  readonly ancestors: readonly ProcessOrigin[];
}

/** Why nobody is known to own a flow. */
export type UnknownOwner =
  /** No socket of this host's: forwarded, another namespace's, closed since. */
  | "no-socket"
  /** The system finishes it: its program has closed it already. */
  | "closed"
  /** No program that we can see has it: hidden from us, or the system's own. */
  | "no-holder"
  /** Several programs have sockets that it may be of. */
  | "shared"
  /** The program ended while we looked. */
  | "ended"
  /** The look-up would have taken too long; asking again goes on from there. */
  | "unfinished";

/** Who owns a flow. */
export type FlowOwner =
  | { readonly kind: "process"; readonly process: ProcessInfo }
  | { readonly kind: "unknown"; readonly reason: UnknownOwner };

/** How the line of ancestors is known. */
export type Lineage =
  /** Starts and ends are told by the system: ancestors stay known after they end. */
  | { readonly kind: "events" }
  /** By asking: an ancestor that ended before it was seen is not known. */
  | { readonly kind: "asking"; readonly reason: string };

/** What look-ups cost until now. */
export interface ProcessTableCounters {
  /** Sockets whose holder was known, and those that were searched for. */
  readonly holderHits: number;
  readonly holderSearches: number;
  /** Programs whose facts were known, and those that were read. */
  readonly processHits: number;
  readonly processReads: number;
  /** Links of /proc/PID/fd, or the like, that searches have read. */
  readonly linksRead: number;
  /** Answers without an owner, by reason. */
  readonly unknown: Readonly<Record<UnknownOwner, number>>;
  /** Starts, changes of program and ends that were told. */
  readonly events: number;
  /** How often some of them were lost, and all programs looked at anew. */
  readonly eventsLost: number;
}

/** The programs of this host and their sockets. */
export interface ProcessTable extends Disposable {
  readonly lineage: Lineage;
  /**
   * Becomes readable when there are events to {@linkcode ProcessTable.drain};
   * undefined where the system tells none.
   */
  readonly descriptor: number | undefined;
  /** Who owns a flow. Never throws on what programs do meanwhile. */
  ownerOf(flow: FlowEnds): FlowOwner;
  /** A running program; undefined where there is none of that id. */
  process(processId: number): ProcessInfo | undefined;
  /** Takes in what has been told; look-ups do it by themselves. */
  drain(): void;
  counters(): ProcessTableCounters;
}
