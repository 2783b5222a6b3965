/** What the system knows of a socket, asked without moving a byte. */
import { pollFd, tcpInfo } from "../../../../ffi/windows/layouts/ws2_32.ts";
import {
  POLL,
  SIO,
  TCP_STATE,
  type Ws2,
} from "../../../../ffi/windows/ws2_32.ts";

/** Events of WSAPoll at a connection whose other end has finished or failed. */
const ENDED = POLL.ERR | POLL.HUP | POLL.NVAL;
const WORD_SIZE = 4;

/** Asks about sockets; keeps the scratch memory that the calls need. */
export class SocketState {
  readonly #call: Ws2["call"];
  readonly #info = new Uint8Array(tcpInfo.size);
  /** Which of the structs is wanted: the first. */
  readonly #version = new Uint8Array(WORD_SIZE);
  readonly #moved = new Uint8Array(WORD_SIZE);
  readonly #polled = new DataView(new ArrayBuffer(pollFd.size));
  readonly #polledBytes = new Uint8Array(this.#polled.buffer);

  constructor(ws2: Ws2) {
    this.#call = ws2.call;
  }

  /** Whether the other end has finished or failed. */
  peerFinished(socket: number): boolean {
    const state = this.#ofTcp(socket);
    if (state !== undefined) {
      return state !== TCP_STATE.ESTABLISHED &&
        state !== TCP_STATE.FIN_WAIT_1 && state !== TCP_STATE.FIN_WAIT_2;
    }
    // An end that bytes stand before may not be seen this way.
    return (this.#poll(socket, POLL.RDNORM) & ENDED) !== 0;
  }

  /** The state of TCP: Windows 10 (version 1703) and later tell it. */
  #ofTcp(socket: number): number | undefined {
    const failed = this.#call.WSAIoctl(
      socket,
      SIO.TCP_INFO,
      this.#version,
      WORD_SIZE,
      this.#info,
      tcpInfo.size,
      this.#moved,
      null,
      null,
    );
    return failed === 0 ? this.#info[tcpInfo.at.State] : undefined;
  }

  /** @returns the events of WSAPoll that are there now */
  #poll(socket: number, events: number): number {
    const polled = this.#polled;
    polled.setUint32(pollFd.at.fd, socket, true);
    polled.setUint16(pollFd.at.events, events, true);
    polled.setUint16(pollFd.at.revents, 0, true);
    this.#call.WSAPoll(this.#polledBytes, 1, 0);
    return polled.getUint16(pollFd.at.revents, true);
  }
}
