/**
 * Remembers that a proxy gives no UDP associations: it is asked again after a
 * while, not for each datagram. A proxy that says no is asked again after
 * minutes; one that can't be reached, or ends associations at once, soon, and
 * then more and more seldom.
 */
import type { DialFailure, DialFailureKind } from "../../io/ports/dialer.ts";

/** How long a refusal is remembered, in ms. */
export interface RefusalTimes {
  /** After a clear no, and at most. */
  readonly refusedMs: number;
  /** After the first failure of another kind; doubled with each more. */
  readonly failedMs: number;
}

/** Kinds that say nothing of UDP: it may be as well in a moment. */
const PASSING: ReadonlySet<DialFailureKind> = new Set<DialFailureKind>([
  "proxy-unreachable",
  "proxy-closed",
  "timed-out",
  "reset",
  "system",
  "no-descriptor",
]);

/** What became of it, for the log: undefined where there is nothing new to say. */
export type RefusalNews = "refused" | "works-again" | undefined;

/** The memory for one proxy. */
export class UdpRefusal {
  readonly #times: RefusalTimes;
  #until = -Infinity;
  #waitMs = 0;
  #told = false;

  constructor(times: RefusalTimes) {
    this.#times = times;
  }

  /** Whether the proxy should not be asked now. */
  isActive(now: number): boolean {
    return now < this.#until;
  }

  /** An association failed. Failures of those asked at the same time count as one. */
  failed(failure: Pick<DialFailure, "kind">, now: number): RefusalNews {
    const { refusedMs, failedMs } = this.#times;
    if (!PASSING.has(failure.kind)) {
      this.#waitMs = refusedMs;
      this.#until = now + refusedMs;
    } else if (!this.isActive(now)) {
      this.#waitMs = Math.min(refusedMs, Math.max(failedMs, this.#waitMs * 2));
      this.#until = now + this.#waitMs;
    }
    if (this.#told) return undefined;
    this.#told = true;
    return "refused";
  }

  /** An association stands: others may be asked for, whatever becomes of this one. */
  opened(): void {
    this.#until = -Infinity;
  }

  /** An association has brought a datagram. */
  worked(): RefusalNews {
    this.#until = -Infinity;
    this.#waitMs = 0;
    if (!this.#told) return undefined;
    this.#told = false;
    return "works-again";
  }
}
