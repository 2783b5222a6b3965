/**
 * Rows of a batch that wait to be sent, chained by their sockets, whatever rows
 * of other sockets lie between them.
 *
 *     entry     0 a   1 b   2 a   3 a   4 c      rows, with their sockets
 *     next      2     -     3     -     -        one chain a socket
 *     head      0     1     4                    in the order of first rows
 */

/** The chains. Who reads them reads the columns. */
export class SocketChains {
  /** Entries that begin a chain: the first `chains` elements. */
  readonly head: Int32Array;
  /** Per entry: its row. */
  readonly row: Int32Array;
  /** Per entry: its socket. */
  readonly socket: Int32Array;
  /** Per entry: the next one of the same socket, or -1. */
  readonly next: Int32Array;
  /** How many chains there are. */
  chains = 0;
  /** How many entries there are. */
  count = 0;
  /** Per chain: its socket's number. */
  readonly #number: Int32Array;
  /** Per socket number: the last entry of its chain plus 1. */
  #last = new Int32Array(1024);

  /** @param capacity entries that can wait */
  constructor(capacity: number) {
    this.head = new Int32Array(capacity);
    this.row = new Int32Array(capacity);
    this.socket = new Int32Array(capacity);
    this.next = new Int32Array(capacity);
    this.#number = new Int32Array(capacity);
  }

  /**
   * Adds a row, where fewer than `capacity` wait.
   * @param number the socket's number among sockets: small, and no other's
   */
  add(socket: number, number: number, row: number): void {
    if (number >= this.#last.length) this.#makeRoom(number);
    const entry = this.count++;
    const before = this.#last[number] - 1;
    this.row[entry] = row;
    this.socket[entry] = socket;
    this.next[entry] = -1;
    if (before >= 0) this.next[before] = entry;
    else {
      this.#number[this.chains] = number;
      this.head[this.chains++] = entry;
    }
    this.#last[number] = entry + 1;
  }

  /** Forgets all rows. */
  clear(): void {
    for (let i = 0; i < this.chains; i++) this.#last[this.#number[i]] = 0;
    this.count = 0;
    this.chains = 0;
  }

  #makeRoom(number: number): void {
    const length = Math.max(number + 1, this.#last.length * 2);
    const last = new Int32Array(length);
    last.set(this.#last);
    this.#last = last;
  }
}
