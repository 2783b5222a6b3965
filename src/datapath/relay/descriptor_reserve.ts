/**
 * Descriptors kept free for clients that are to come, one each from the start of
 * its dial: the system takes a client in before we accept it, so that one without
 * a descriptor would wait for nothing, and the outside would be dialed in vain.
 */
import type { StreamSockets } from "../../io/ports/stream_sockets.ts";

/** Holds descriptors, to be closed where one is needed. */
export class DescriptorReserve implements Disposable {
  readonly #sockets: StreamSockets;
  readonly #held: number[] = [];

  constructor(sockets: StreamSockets) {
    this.#sockets = sockets;
  }

  /** Holds one more. @returns whether the system has one. */
  take(): boolean {
    const descriptor = this.#sockets.spare();
    if (descriptor < 0) return false;
    this.#held.push(descriptor);
    return true;
  }

  /** Frees one, where one is held. @returns whether. */
  free(): boolean {
    const descriptor = this.#held.pop();
    if (descriptor === undefined) return false;
    this.#sockets.close(descriptor);
    return true;
  }

  /** Holds so many, as far as the system has them. */
  keep(count: number): void {
    while (this.#held.length > count) this.free();
    while (this.#held.length < count && this.take());
  }

  [Symbol.dispose](): void {
    this.keep(0);
  }
}
