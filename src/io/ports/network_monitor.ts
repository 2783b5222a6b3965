/** What changes in the host's network while we run. */
import type { AddressWords } from "../../core/wire/address.ts";

/** One thing that is other than before. */
export type NetworkChange =
  | {
    /** An interface came, went, or got or lost its link. */
    readonly kind: "link";
    readonly interface: string;
    readonly index: number;
    readonly now: "up" | "down" | "gone";
  }
  | {
    readonly kind: "address";
    readonly interface: string;
    readonly index: number;
    readonly family: 4 | 6;
    /** Address words. */
    readonly words: AddressWords;
    readonly now: "present" | "gone";
  }
  | {
    /** The way that packets to everywhere take; undefined without one. */
    readonly kind: "defaultRoute";
    readonly family: 4 | 6;
    readonly interface: string | undefined;
    readonly index: number | undefined;
    readonly gateway: AddressWords | undefined;
  }
  | {
    /** The machine slept, or this process was stopped, and goes on. */
    readonly kind: "resume";
    readonly cause: "sleep" | "stopped";
    /** How long the machine slept; 0 where that isn't known. */
    readonly sleptMs: number;
  };

/** What to watch, and what to leave out. */
export interface NetworkMonitorOptions {
  /**
   * Takes the changes of one burst: what is other than it was after the burst
   * before. Called on the thread that opened the monitor.
   */
  readonly onChange: (changes: readonly NetworkChange[]) => void;
  /** Called once where watching has to end by itself. */
  readonly onFailure: (error: Error) => void;
  /** Interfaces that don't count, e.g. our own. */
  readonly ignored?: (interfaceName: string) => boolean;
  /** A burst is over after so long without news; 100 ms by default. */
  readonly quietMs?: number;
  /** A burst is told after so long at the latest; 1 s by default. */
  readonly burstMs?: number;
}

/** Watches until it is disposed of. */
export interface NetworkMonitor extends AsyncDisposable {
  /** Compares with the system now, as if there were news. */
  check(): void;
  /** How many bursts were told, and how many of those news changed nothing. */
  counters(): { readonly told: number; readonly idle: number };
}
