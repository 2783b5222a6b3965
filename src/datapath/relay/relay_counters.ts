/**
 * What the relay counts, as shared columns: the relay worker writes, any thread
 * reads. A count is a 64-bit float (see core/columns/counters.ts).
 */
import {
  ColumnAllocator,
  type TableBuffer,
} from "../../core/columns/columns.ts";
import {
  DIAL_FAILURE_KINDS,
  type DialFailureKind,
} from "../../io/ports/dialer.ts";

/** What is counted, besides failures by kind. */
export const RelayCount = {
  /** Connections being made now. */
  Dialing: 0,
  /** Connections that stand outside and that the client has not yet taken. */
  Entering: 1,
  /** Connections open now. */
  Open: 2,
  /** Connections opened in all. */
  Opened: 3,
  /** Of them, ended by both sides finishing. */
  Finished: 4,
  /** Of them, reset by one side. */
  Reset: 5,
  /** Of them, ended because nothing moved for too long. */
  Idle: 6,
  /** Given up by the client before or after they stood: a new SYN, or a RST. */
  Abandoned: 7,
  /** Let in, and the client never came. */
  NotAccepted: 8,
  /** Bytes from clients to the outside. */
  BytesOut: 9,
  /** Bytes from the outside to clients. */
  BytesIn: 10,
  /** Connections to the listeners that belong to nobody. */
  Strays: 11,
  /** Not dialed, since as many as allowed were being made or open. */
  Limited: 12,
  /** Times that the system had no descriptor left for a waiting client. */
  OutOfDescriptors: 13,
  /** Answers to clients that found no room. */
  AnswersLost: 14,
} as const;

/** One of the values of {@linkcode RelayCount}. */
export type RelayCount = typeof RelayCount[keyof typeof RelayCount];

/** The counts at one moment, by their names. */
export interface RelaySnapshot {
  readonly counts: Readonly<Record<keyof typeof RelayCount, number>>;
  /** Failed dials by kind; kinds without any are left out. */
  readonly failures: Readonly<Partial<Record<DialFailureKind, number>>>;
}

const COUNTS = Object.keys(RelayCount) as (keyof typeof RelayCount)[];

/** A set of counts over a buffer. */
export class RelayCounters {
  /** Bytes of buffer that a set of counts needs. */
  static readonly byteLength = (COUNTS.length + DIAL_FAILURE_KINDS.length) * 8;

  readonly #counts: Float64Array;
  readonly #failures: Float64Array;

  /** @param buffer at least {@linkcode RelayCounters.byteLength} bytes, zeros at first */
  constructor(buffer: TableBuffer) {
    const columns = new ColumnAllocator(buffer);
    this.#counts = columns.float64(COUNTS.length);
    this.#failures = columns.float64(DIAL_FAILURE_KINDS.length);
  }

  /** Adds to a count; gauges go down by negative amounts. */
  add(count: RelayCount, amount = 1): void {
    this.#counts[count] += amount;
  }

  /** Counts a failed dial. */
  fail(kind: DialFailureKind): void {
    this.#failures[DIAL_FAILURE_KINDS.indexOf(kind)]++;
  }

  /** One count. */
  get(count: RelayCount): number {
    return this.#counts[count];
  }

  /** Failed dials of a kind. */
  failures(kind: DialFailureKind): number {
    return this.#failures[DIAL_FAILURE_KINDS.indexOf(kind)];
  }

  /** All counts as they are now. */
  snapshot(): RelaySnapshot {
    const counts = Object.fromEntries(
      COUNTS.map((name) => [name, this.#counts[RelayCount[name]]]),
    ) as Record<keyof typeof RelayCount, number>;
    const failures: Partial<Record<DialFailureKind, number>> = {};
    for (const kind of DIAL_FAILURE_KINDS) {
      const count = this.failures(kind);
      if (count > 0) failures[kind] = count;
    }
    return { counts, failures };
  }
}
