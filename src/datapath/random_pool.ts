/**
 * Random bytes for the packet loop: drawn from the system a page at a time, so
 * that a header value or a junk prefix costs a copy and no system call.
 */
const PAGE = 16384;

/** A page of random bytes that is drawn anew when it is used up. */
export class RandomPool {
  readonly #page = new Uint8Array(PAGE);
  #at = PAGE;

  /** An unsigned 32-bit number. */
  uint32(): number {
    const at = this.#take(4);
    const page = this.#page;
    return (page[at] | page[at + 1] << 8 | page[at + 2] << 16 |
      page[at + 3] << 24) >>> 0;
  }

  /** Fills bytes[at .. at+length). */
  fill(bytes: Uint8Array, at: number, length: number): void {
    for (let done = 0; done < length;) {
      const part = Math.min(length - done, PAGE);
      const from = this.#take(part);
      for (let i = 0; i < part; i++) {
        bytes[at + done + i] = this.#page[from + i];
      }
      done += part;
    }
  }

  #take(length: number): number {
    if (this.#at + length > PAGE) {
      crypto.getRandomValues(this.#page);
      this.#at = 0;
    }
    const at = this.#at;
    this.#at = at + length;
    return at;
  }
}
