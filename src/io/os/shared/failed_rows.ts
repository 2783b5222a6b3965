/**
 * Rows of a batch that could not be sent: what is sent are messages, what is
 * told are rows. They are told once, and forgotten when the next row comes.
 */

/** Failed rows that are told; the largest batches have fewer rows. */
const FAILURES = 8192;

/** See the module header. */
export class FailedRows {
  /** The first `count` elements: the rows. */
  readonly row: Int32Array = new Int32Array(FAILURES);
  /** Why, as the error's number above the ports. */
  readonly errno: Int32Array = new Int32Array(FAILURES);
  /** How many there are. */
  count = 0;
  /** Per message that is being sent: its row. */
  readonly #sent: Int32Array;
  #told: "yes" | "no" = "no";

  /** @param messages that may be sent at once */
  constructor(messages: number) {
    this.#sent = new Int32Array(messages);
  }

  /** Rows come that are yet to be told: the ones that were are forgotten. */
  begin(): void {
    if (this.#told === "no") return;
    this.count = 0;
    this.#told = "no";
  }

  /** Notes which row a message is. */
  sends(message: number, row: number): void {
    this.#sent[message] = row;
  }

  /** Notes that a message could not be sent. */
  add(message: number, errno: number): void {
    if (this.count === FAILURES) return;
    this.row[this.count] = this.#sent[message];
    this.errno[this.count++] = errno;
  }

  /** Tells of the rows since the last time. @returns `count`. */
  tell(): number {
    if (this.#told === "yes") this.count = 0;
    this.#told = "yes";
    return this.count;
  }
}
