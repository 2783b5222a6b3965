/**
 * What flows have carried and when, as columns by the rows of a flow table: the
 * thread that sends a flow's packets writes what was sent, the one that has what
 * comes for it the rest.
 */
import type { ColumnAllocator } from "../columns/columns.ts";

const COLUMNS = 7;

/** See the module header. */
export class FlowTraffic {
  /** When the flow began, in ms. */
  readonly createdAt: Float64Array;
  /** When its program last sent, in ms. */
  readonly lastSentAt: Float64Array;
  /** When something last came for it, in ms. */
  readonly lastReceivedAt: Float64Array;
  readonly sentPackets: Float64Array;
  readonly sentBytes: Float64Array;
  readonly receivedPackets: Float64Array;
  readonly receivedBytes: Float64Array;

  /** Bytes for that many rows. */
  static byteLength(capacity: number): number {
    return COLUMNS * (capacity + 1) * 8;
  }

  constructor(columns: ColumnAllocator, capacity: number) {
    this.createdAt = columns.float64(capacity);
    this.lastSentAt = columns.float64(capacity);
    this.lastReceivedAt = columns.float64(capacity);
    this.sentPackets = columns.float64(capacity);
    this.sentBytes = columns.float64(capacity);
    this.receivedPackets = columns.float64(capacity);
    this.receivedBytes = columns.float64(capacity);
  }

  /** A flow begins: it has carried nothing. */
  begin(row: number, now: number): void {
    this.createdAt[row] = now;
    this.lastSentAt[row] = now;
    this.lastReceivedAt[row] = now;
    this.sentPackets[row] = 0;
    this.sentBytes[row] = 0;
    this.receivedPackets[row] = 0;
    this.receivedBytes[row] = 0;
  }

  /** Counts a packet that the program sent. */
  noteSent(row: number, bytes: number, now: number): void {
    this.lastSentAt[row] = now;
    this.sentPackets[row]++;
    this.sentBytes[row] += bytes;
  }

  /** Counts a packet for the program. */
  noteReceived(row: number, bytes: number, now: number): void {
    this.lastReceivedAt[row] = now;
    this.receivedPackets[row]++;
    this.receivedBytes[row] += bytes;
  }

  /** When something last went or came, in ms. */
  lastAt(row: number): number {
    return Math.max(this.lastSentAt[row], this.lastReceivedAt[row]);
  }
}
