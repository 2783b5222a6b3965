/**
 * Packets and bytes by protocol and verdict: what became of what was read. One
 * thread writes, any may read; a count is a 64-bit float, which stands for whole
 * numbers to 2^53 and is written in one piece.
 */
import { ColumnAllocator, type TableBuffer } from "./columns.ts";
import type { Traffic } from "./counters.ts";
import { Verdict } from "./verdict.ts";

/** Protocols as far as they are told apart; ICMPv6 counts as ICMP. */
export const ProtocolClass = { Tcp: 0, Udp: 1, Icmp: 2, Other: 3 } as const;

/** One of the values of {@linkcode ProtocolClass}. */
export type ProtocolClass = typeof ProtocolClass[keyof typeof ProtocolClass];

const CLASSES = ["TCP", "UDP", "ICMP", "other"] as const;
const VERDICTS = Object.keys(Verdict) as (keyof typeof Verdict)[];
const CELLS = CLASSES.length * VERDICTS.length;

/** One line of the counts. */
export interface VerdictTraffic extends Traffic {
  readonly protocol: typeof CLASSES[number];
  readonly verdict: keyof typeof Verdict;
}

/** A set of counts over a buffer. */
export class VerdictCounters {
  /** Bytes of buffer that it needs. */
  static readonly byteLength: number = CELLS * 2 * 8;

  readonly #packets: Float64Array;
  readonly #bytes: Float64Array;

  /** @param buffer zeros at first */
  constructor(buffer: TableBuffer) {
    const columns = new ColumnAllocator(buffer);
    this.#packets = columns.float64(CELLS);
    this.#bytes = columns.float64(CELLS);
  }

  /** Counts a packet. */
  count(protocol: ProtocolClass, verdict: Verdict, bytes: number): void {
    const cell = protocol * VERDICTS.length + verdict;
    this.#packets[cell]++;
    this.#bytes[cell] += bytes;
  }

  /** The counts as they are now, those that are zero left out. */
  snapshot(): VerdictTraffic[] {
    return CLASSES.flatMap((protocol, p) =>
      VERDICTS.map((verdict) => {
        const cell = p * VERDICTS.length + Verdict[verdict];
        return {
          protocol,
          verdict,
          packets: this.#packets[cell],
          bytes: this.#bytes[cell],
        };
      })
    ).filter(({ packets }) => packets > 0);
  }
}
