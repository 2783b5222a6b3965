/**
 * Messages that wait to leave through a socket. Neighbours of one group may leave
 * joined; what a group means (a destination, a hop limit) their owner knows.
 */

/** The messages. */
export class WaitingMessages {
  /** How many can wait. */
  readonly capacity: number;
  /** Per message: where it lies in the arena. */
  readonly at: Int32Array;
  readonly length: Int32Array;
  readonly group: Int32Array;
  /** How many wait. */
  count = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.at = new Int32Array(capacity);
    this.length = new Int32Array(capacity);
    this.group = new Int32Array(capacity);
  }

  /**
   * Adds a message, where there are fewer than `capacity`; its bytes must stay
   * until it was sent. @returns its number.
   */
  add(at: number, length: number, group: number): number {
    const message = this.count++;
    this.at[message] = at;
    this.length[message] = length;
    this.group[message] = group;
    return message;
  }
}
