/**
 * What else lives in the relay worker beside TCP connections: a guest shares
 * the worker's poll set, clock and ring.
 */

/** Tells the guest what happened; all on the relay worker's thread. */
export interface RelayGuest extends Disposable {
  /**
   * A descriptor that the guest watches is ready. After a close in the same
   * round it may come once too often.
   * @param tag as it was watched
   * @param events POLL bits
   */
  ready(tag: number, events: number, now: number): void;
  /**
   * A message of the relay ring that the worker does not know itself.
   * @param bytes the guest's to change until it returns
   */
  message(
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): void;
  /** Does what is due. */
  tick(now: number): void;
  /** When `tick` is due next; Infinity where nothing waits. */
  nextTimeout(): number;
}

/** What the relay worker gives its guests. */
export interface RelayHost {
  /**
   * Reports a descriptor's events to the guest, level-triggered.
   * @param tag the guest's own, 0 to 2^24 - 1
   * @param wants what to hear of besides errors and hang-ups
   * @returns false where the system has no room for it
   */
  watch(descriptor: number, tag: number, wants: "read" | "write"): boolean;
  /** Changes what is heard of a watched descriptor. */
  change(descriptor: number, tag: number, wants: "read" | "write"): void;
  /** Ends it; call it before the descriptor is closed. */
  forget(descriptor: number): void;
  /**
   * Writes a whole IP packet to the client.
   * @returns false where there was no room for it
   */
  answer(bytes: Uint8Array, at: number, length: number): boolean;
  /** One line for the log. */
  tell(line: string): void;
}
