/** Messages from the control thread to a worker: none is lost, those that find no room wait. */
import type { Ring } from "../core/columns/ring.ts";

interface Pending {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly bytes: Uint8Array;
}

/** How soon it is tried again, in ms. */
const RETRY_MS = 5;

/** The control thread's end of a ring. */
export class PendingMessages {
  readonly #ring: Ring;
  readonly #wake: () => void;
  #waiting: Pending[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param wake wakes the worker. */
  constructor(ring: Ring, wake: () => void) {
    this.#ring = ring;
    this.#wake = wake;
  }

  /** Sends a message, in its order; its bytes may be used again. */
  post(kind: number, a: number, b: number, bytes: Uint8Array): void {
    const message = { kind, a, b, bytes };
    if (this.#waiting.length === 0 && this.#write(message)) this.#wake();
    else {
      this.#waiting.push({ ...message, bytes: bytes.slice() });
      this.#timer ??= setTimeout(() => this.#retry(), RETRY_MS);
    }
  }

  /** Gives up what waits. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #retry(): void {
    this.#timer = undefined;
    const left = this.#waiting.findIndex((message) => !this.#write(message));
    this.#waiting = left < 0 ? [] : this.#waiting.slice(left);
    this.#wake();
    if (this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => this.#retry(), RETRY_MS);
  }

  #write({ kind, a, b, bytes }: Pending): boolean {
    return this.#ring.tryWrite(kind, a, b, bytes, 0, bytes.length);
  }
}
