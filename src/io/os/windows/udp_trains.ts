/**
 * Trains of datagrams: many that the system takes, or hands over, as one
 * (UDP_SEND_MSG_SIZE, UDP_RECV_MAX_COALESCED_SIZE; Windows 10 version 2004 and
 * later). Where it has none, each goes by itself.
 */
import { IPPROTO, UDP, type Ws2 } from "../../../../ffi/windows/ws2_32.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** Datagrams that the system may hand over as one. */
export const TRAIN_ROWS = 128;

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
