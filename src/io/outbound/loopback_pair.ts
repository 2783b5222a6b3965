/**
 * Two connected ends of a TCP stream within the host. Unlike a socketpair it
 * carries a reset, so that a tunnel that broke never looks like one that ended.
 *
 * Whoever may open sockets here can connect to a listener on the loopback: the
 * far end is taken only from the port that the near one has.
 */
import { equalWords } from "../../core/wire/address.ts";
import type { StreamSockets } from "../ports/stream_sockets.ts";

const LOOPBACK = Int32Array.of(0, 0, 0xffff, 0x7f00_0001);
const BACKLOG = 4;

/** A pair in the making; disposing of it closes what was not taken. */
export class LoopbackPair implements Disposable {
  /** Becomes readable when the pair is complete; -1 where it failed. */
  listener: number;
  /** Our end; -1 before and after. */
  near = -1;
  /** The end to give away; -1 before and after. */
  far = -1;
  readonly #sockets: StreamSockets;
  #nearPort = 0;
  /** What opening came to: 0 or a negative error. */
  #error = 0;

  constructor(sockets: StreamSockets) {
    this.#sockets = sockets;
    this.listener = sockets.listen({
      address: { words: LOOPBACK, port: 0 },
      backlog: BACKLOG,
    });
    if (this.listener < 0) {
      this.#error = this.listener;
      return;
    }
    this.near = sockets.connect(LOOPBACK, sockets.localPort(this.listener));
    if (this.near < 0) this.#error = this.near;
    else this.#nearPort = sockets.localPort(this.near);
  }

  /** @returns 0 where the pair is complete, -WouldBlock before, else a negative error. */
  advance(): number {
    const sockets = this.#sockets;
    while (this.#error === 0 && this.far < 0) {
      const descriptor = sockets.accept(this.listener);
      if (descriptor < 0) return descriptor;
      const isOurs = sockets.peerPort === this.#nearPort &&
        equalWords(sockets.peer, 0, LOOPBACK, 0);
      if (isOurs) this.far = descriptor;
      else sockets.close(descriptor);
    }
    if (this.#error !== 0) return this.#error;
    sockets.noDelay(this.near);
    return 0;
  }

  /** Gives the near end away. */
  takeNear(): number {
    const taken = this.near;
    this.near = -1;
    return taken;
  }

  /** Gives the far end away. */
  takeFar(): number {
    const taken = this.far;
    this.far = -1;
    return taken;
  }

  [Symbol.dispose](): void {
    for (const descriptor of [this.listener, this.near, this.far]) {
      if (descriptor >= 0) this.#sockets.close(descriptor);
    }
    this.listener = this.near = this.far = -1;
  }
}
