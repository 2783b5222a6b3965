/**
 * Trains of datagrams: many that the system takes, or hands over, as one
 * (UDP_SEND_MSG_SIZE, UDP_RECV_MAX_COALESCED_SIZE; Windows 10 version 2004 and
 * later). Where it has none, each goes by itself.
 */
import { IPPROTO, UDP, type Ws2 } from "../../../../ffi/windows/ws2_32.ts";
import type { MessageBlock } from "./message_block.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** Datagrams that the system may hand over as one. */
export const TRAIN_ROWS = 128;

/** What one datagram seldom is longer than. */
const USUAL_LENGTH = 2048;

/**
 * Tells the datagrams of what was received apart. Some network cards' drivers
 * join datagrams without saying so (which is why others do without trains): a
 * socket that gets anything long whose parts are not told goes without.
 */
export class ReceivedTrains {
  readonly #options: WinsockOptions;

  constructor(ws2: Ws2) {
    this.#options = new WinsockOptions(ws2);
  }

  /** Bytes of each datagram, the last of which may be shorter. */
  datagramLength(block: MessageBlock, socket: number, length: number): number {
    const told = block.control32(IPPROTO.UDP, UDP.COALESCED_INFO, 0);
    if (told > 0) return told;
    if (length > USUAL_LENGTH) {
      this.#options.set(socket, IPPROTO.UDP, UDP.RECV_MAX_COALESCED_SIZE, 0);
    }
    return length;
  }
}

/** Whether what arrives at a socket may be trains. */
export function receivesTrains(ws2: Ws2, socket: number): boolean {
  const options = new WinsockOptions(ws2);
  const name = UDP.RECV_MAX_COALESCED_SIZE;
  return options.get(socket, IPPROTO.UDP, name) > 0;
}

/** Whether a socket splits trains. */
export function sendsTrains(ws2: Ws2, socket: number): "tried" | "never" {
  const options = new WinsockOptions(ws2);
  const name = UDP.SEND_MSG_SIZE;
  return options.get(socket, IPPROTO.UDP, name) >= 0 ? "tried" : "never";
}
