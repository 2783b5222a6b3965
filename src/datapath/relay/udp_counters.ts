/**
 * What became of UDP in the relay worker, counted in shared columns: written by
 * the relay worker, read by any thread. A count is a 64-bit float, which stands
 * for whole numbers to 2^53 and is written in one piece.
 */
import {
  ColumnAllocator,
  type TableBuffer,
} from "../../core/columns/columns.ts";

/** What is counted, in the order of the column. */
const NAMES = [
  // Sessions
  "sessionsOpen",
  "sessionsOpened",
  "sessionsExpired",
  /** Ended by the proxy. */
  "sessionsEnded",
  /** Associations that the proxy did not give. */
  "associationsFailed",
  // Datagrams of clients, and of remotes
  "datagramsOut",
  "bytesOut",
  "datagramsIn",
  "bytesIn",
  // DNS over TCP
  "dnsQueries",
  "dnsAnswers",
  /** Answers that were too long for UDP. */
  "dnsTruncated",
  /** Queries that were told «server failure». */
  "dnsFailures",
  // Dropped datagrams
  "droppedMalformed",
  "droppedNotForwarded",
  "droppedRefused",
  "droppedSessionsFull",
  "droppedTooManyPending",
  "droppedNoDescriptor",
  "droppedWaiting",
  "droppedAssociationFailed",
  "droppedSendFailed",
  "droppedTooLong",
  "droppedLoop",
  "droppedProxyMalformed",
  "droppedProxyFragment",
  "droppedProxyDomain",
  "droppedForeignFamily",
  "droppedDeviceFull",
  "droppedDnsMalformed",
  "droppedDnsBusy",
  "droppedDnsTimeout",
] as const;

/** The name of a count. */
export type UdpCount = typeof NAMES[number];

/** Where each count stands in the column. */
export const UdpCounted: Readonly<Record<UdpCount, number>> = Object
  .fromEntries(NAMES.map((name, i) => [name, i])) as Record<UdpCount, number>;

/** A person's text for each reason to drop a datagram. */
export const UDP_DROP_TEXT: Partial<Record<UdpCount, string>> = {
  droppedMalformed: "malformed UDP packet or fragment",
  droppedNotForwarded: "UDP to multicast, broadcast or nowhere",
  droppedRefused: "UDP refused by the proxy",
  droppedSessionsFull: "UDP session table full",
  droppedTooManyPending: "too many UDP associations asked for at once",
  droppedNoDescriptor: "no descriptor left for a UDP session",
  droppedWaiting: "UDP queue full while the proxy is asked",
  droppedAssociationFailed: "UDP association failed",
  droppedSendFailed: "UDP send to the proxy failed",
  droppedTooLong: "UDP datagram too long",
  droppedLoop: "UDP to the proxy's relay came back through the tunnel",
  droppedProxyMalformed: "malformed datagram from the proxy",
  droppedProxyFragment: "fragment from the proxy",
  droppedProxyDomain: "datagram from a domain name",
  droppedForeignFamily: "datagram from an address of the other family",
  droppedDeviceFull: "UDP answer that the interface did not take",
  droppedDnsMalformed: "no DNS query at port 53",
  droppedDnsBusy: "too many DNS queries in flight",
  droppedDnsTimeout: "DNS query unanswered",
};

/** The counts over a buffer. */
export class UdpCounters {
  /** Bytes of buffer that the counts need. */
  static readonly byteLength: number = NAMES.length * 8;

  readonly #counts: Float64Array;

  /** @param buffer at least {@linkcode UdpCounters.byteLength} bytes, zeros at first */
  constructor(buffer: TableBuffer) {
    this.#counts = new ColumnAllocator(buffer).float64(NAMES.length);
  }

  /** @param index one of {@linkcode UdpCounted} */
  add(index: number, count = 1): void {
    this.#counts[index] += count;
  }

  /** One count as it is now. */
  get(name: UdpCount): number {
    return this.#counts[UdpCounted[name]];
  }

  /** The counts as they are now. */
  snapshot(): Record<UdpCount, number> {
    return Object.fromEntries(
      NAMES.map((name, i) => [name, this.#counts[i]]),
    ) as Record<UdpCount, number>;
  }

  /** Dropped datagrams by a person's text for the reason; reasons without drops are left out. */
  drops(): Record<string, number> {
    const drops: Record<string, number> = {};
    for (const name of NAMES) {
      const text = UDP_DROP_TEXT[name];
      if (text !== undefined && this.get(name) > 0) {
        drops[text] = this.get(name);
      }
    }
    return drops;
  }
}
