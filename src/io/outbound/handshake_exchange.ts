/** Moves the bytes of a handshake between its machine and a socket. */
import type { ProxyHandshake } from "../../core/proxy/handshake.ts";
import { SocketError, type StreamSockets } from "../ports/stream_sockets.ts";

/** Bytes of an answer that are looked at in one go. */
export const EXCHANGE_ROOM = 2048;

/** Where an exchange runs. */
export interface ExchangeOptions {
  readonly sockets: StreamSockets;
  readonly descriptor: number;
  /** {@linkcode EXCHANGE_ROOM} bytes, used only within a call. */
  readonly scratch: Uint8Array<ArrayBuffer>;
}

/** One handshake over one connected, non-blocking socket. */
export class HandshakeExchange {
  /** What to wait for. */
  wants: "read" | "write" = "write";
  readonly #handshake: ProxyHandshake;
  readonly #options: ExchangeOptions;

  constructor(handshake: ProxyHandshake, options: ExchangeOptions) {
    this.#handshake = handshake;
    this.#options = options;
  }

  /** Goes on without waiting; ends where the handshake does, or where it has to wait. */
  advance(): ProxyHandshake["state"] {
    const handshake = this.#handshake;
    while (handshake.state === "talking") {
      const goesOn = handshake.output.length > 0 ? this.#send() : this.#hear();
      if (!goesOn) break;
    }
    return handshake.state;
  }

  /** @returns false where there is to be waited. */
  #send(): boolean {
    const { sockets, descriptor } = this.#options;
    const { output } = this.#handshake;
    const count = sockets.send(descriptor, output, output.length);
    if (count >= 0) {
      this.#handshake.sent(count);
      return true;
    }
    if (count === -SocketError.Interrupted) return true;
    if (count === -SocketError.WouldBlock) {
      this.wants = "write";
      return false;
    }
    // What it said before it closed may be the reason.
    this.#handshake.sent(output.length);
    return true;
  }

  /** @returns false where there is to be waited. */
  #hear(): boolean {
    const { sockets, descriptor, scratch } = this.#options;
    const count = sockets.peek(descriptor, scratch, EXCHANGE_ROOM);
    if (count > 0) {
      const own = this.#handshake.receive(scratch, 0, count);
      if (own > 0) sockets.discard(descriptor, scratch, own);
      return true;
    }
    if (count === -SocketError.Interrupted) return true;
    if (count === -SocketError.WouldBlock) {
      this.wants = "read";
      return false;
    }
    this.#handshake.closed();
    return true;
  }
}
