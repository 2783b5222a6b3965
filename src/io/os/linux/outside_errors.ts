/**
 * ICMP errors for the outside: each socket has its own error queue, and one call
 * looks at the raw echo sockets of both families.
 */
import type { OutsideErrorReport, OutsideShared } from "../../ports.ts";
import type { ErrorQueue } from "./error_queue.ts";

/** Reads the error queues. */
export class OutsideErrors {
  readonly #queue: ErrorQueue;
  readonly #raw4: number;
  readonly #raw6: number;

  constructor(queue: ErrorQueue, { raw4, raw6 }: OutsideShared) {
    this.#queue = queue;
    this.#raw4 = raw4;
    this.#raw6 = raw6;
  }

  /**
   * Takes one error.
   * @param handle a mapping's socket, or -1 for the raw echo sockets
   * @returns whether there was one
   */
  read(handle: number, report: OutsideErrorReport): boolean {
    const queue = this.#queue;
    if (handle >= 0) return queue.read(handle, report);
    return (this.#raw4 >= 0 && queue.readEcho(this.#raw4, report)) ||
      (this.#raw6 >= 0 && queue.readEcho(this.#raw6, report));
  }
}
