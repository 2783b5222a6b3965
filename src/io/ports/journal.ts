/** What is to be undone, on disk before it is done. */

/** A thing to undo: one that outlives the process that made it. */
export type JournalEntry =
  | { readonly kind: "file"; readonly path: string }
  | {
    readonly kind: "address";
    readonly interface: string;
    /** The system's number of the interface. */
    readonly index: number;
    /** Address and prefix length, as text. */
    readonly prefix: string;
  }
  | {
    readonly kind: "route";
    readonly interface: string;
    readonly index: number;
    readonly prefix: string;
    readonly metric?: number;
  }
  | {
    /** The reverse path filter of an interface, made loose. */
    readonly kind: "reverse-path";
    readonly interface: string;
    readonly index: number;
    /** What it was before. */
    readonly value: number;
  }
  | {
    /** A routing rule of ours. */
    readonly kind: "routing-rule";
    readonly family: 4 | 6;
    readonly priority: number;
    readonly table: number;
  }
  /** The routes of ours in a table that is not the main one. */
  | { readonly kind: "routing-table"; readonly table: number }
  | {
    /** A table of the packet filter. */
    readonly kind: "filter-table";
    readonly name: string;
    /** Tells it from one of that name that another process made. */
    readonly mark: string;
  }
  /** A rule of the host's firewall that lets a listener's datagrams in. */
  | { readonly kind: "firewall-rule"; readonly name: string }
  /** A rule of the system's name resolution policy; its key is a GUID. */
  | { readonly kind: "name-policy"; readonly key: string }
  | {
    /** The resolvers of an interface that had none of its own. */
    readonly kind: "name-servers";
    readonly interface: string;
    readonly guid: string;
  };

/** Where a journal is kept. */
export type JournalLocation =
  | { readonly kind: "directory"; readonly directory: string }
  /** Nowhere on disk, and why not: nothing can be undone after a crash. */
  | { readonly kind: "memory"; readonly problems: readonly string[] };

/** The journal of a process that no longer runs. */
export type Leftover =
  | {
    readonly kind: "entries";
    readonly path: string;
    readonly processId: number;
    readonly entries: readonly JournalEntry[];
    /**
     * Where its addresses and routes were: in the network that we are in, in
     * another network namespace, or in one that ended with an earlier boot.
     */
    readonly network: "ours" | "other" | "gone";
  }
  | {
    readonly kind: "malformed";
    readonly path: string;
    readonly reason: string;
  };

/** What is to be undone by the next start, should this process be killed. */
export interface Journal {
  readonly location: JournalLocation;
  /**
   * Sets the entries of a scope, e.g. `uapi` or `network:sluice0`; none at all
   * end it. On disk when this returns: call it before making the change.
   */
  record(scope: string, entries: readonly JournalEntry[]): void;
  /** The journals of dead processes. */
  leftovers(): Leftover[];
  /** Removes such a journal once it is undone; puts a malformed one aside. */
  forget(leftover: Leftover): void;
}
