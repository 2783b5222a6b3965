/**
 * Packet and byte counts by direction, and drops by reason.
 *
 * One thread writes a Counters; any thread may read it. A count is a 64-bit
 * float, which stands for whole numbers to 2^53 and is written in one piece on
 * the machines that we run on.
 */
import { ColumnAllocator, type TableBuffer } from "./columns.ts";
import {
  DROP_REASON_COUNT,
  type DropReason,
  dropReasonText,
} from "./drop_reason.ts";

/** Where a packet comes in or goes out. */
export const Direction = {
  /** Decrypted, from a peer. */
  FromTunnel: 0,
  /** Encrypted, to a peer. */
  ToTunnel: 1,
  /** Read from the host's TUN device. */
  FromHost: 2,
  /** Written to the host's TUN device. */
  ToHost: 3,
  /** Received by a socket of the gateway's own. */
  FromOutside: 4,
  /** Sent from a socket of the gateway's own. */
  ToOutside: 5,
} as const;

/** One of the values of {@linkcode Direction}. */
export type Direction = typeof Direction[keyof typeof Direction];

/** Packets and bytes that went one way. */
export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

/** The counts at one moment. */
export interface CountersSnapshot {
  readonly traffic: Readonly<Record<keyof typeof Direction, Traffic>>;
  /** Packets by the user's text for the reason; reasons without drops are left out. */
  readonly drops: Readonly<Record<string, number>>;
}

const DIRECTIONS = Object.keys(Direction) as (keyof typeof Direction)[];

/** A set of counts over a buffer. */
export class Counters {
  /** Bytes of buffer that a set of counts needs. */
  static readonly byteLength = (DIRECTIONS.length * 2 + DROP_REASON_COUNT) * 8;

  readonly #packets: Float64Array;
  readonly #bytes: Float64Array;
  readonly #drops: Float64Array;

  /** @param buffer at least {@linkcode Counters.byteLength} bytes, zeros at first */
  constructor(buffer: TableBuffer) {
    const columns = new ColumnAllocator(buffer);
    this.#packets = columns.float64(DIRECTIONS.length);
    this.#bytes = columns.float64(DIRECTIONS.length);
    this.#drops = columns.float64(DROP_REASON_COUNT);
  }

  /** Counts packets with their bytes in sum. */
  add(direction: Direction, packets: number, bytes: number): void {
    this.#packets[direction] += packets;
    this.#bytes[direction] += bytes;
  }

  /** Counts dropped packets. */
  drop(reason: DropReason, packets = 1): void {
    this.#drops[reason] += packets;
  }

  /** Packets that went one way. */
  packets(direction: Direction): number {
    return this.#packets[direction];
  }

  /** Bytes that went one way. */
  bytes(direction: Direction): number {
    return this.#bytes[direction];
  }

  /** Packets dropped for a reason. */
  drops(reason: DropReason): number {
    return this.#drops[reason];
  }

  /** The counts as they are now. */
  snapshot(): CountersSnapshot {
    return sumCounters([this]);
  }
}

/** The counts of several writers as one. */
export function sumCounters(counters: readonly Counters[]): CountersSnapshot {
  const total = (read: (one: Counters) => number) =>
    counters.reduce((sum, one) => sum + read(one), 0);
  const traffic = Object.fromEntries(DIRECTIONS.map((name) => {
    const direction = Direction[name];
    return [name, {
      packets: total((one) => one.packets(direction)),
      bytes: total((one) => one.bytes(direction)),
    }];
  })) as Record<keyof typeof Direction, Traffic>;
  const drops: Record<string, number> = {};
  for (let reason = 0; reason < DROP_REASON_COUNT; reason++) {
    const packets = total((one) => one.drops(reason));
    if (packets > 0) drops[dropReasonText(reason)] = packets;
  }
  return { traffic, drops };
}
