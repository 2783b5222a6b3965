/**
 * Raw sockets that get a copy of each ICMP message, of which echo requests are
 * told on; the firewall must let them in.
 */
import { Type as IcmpType } from "../../../core/wire/icmp.ts";
import { Type as Icmpv6Type } from "../../../core/wire/icmpv6.ts";
import { headerLength } from "../../../core/wire/ipv4.ts";
import type { EchoListener, EchoRequest } from "../../ports/echo_listener.ts";
import {
  DATAGRAM_BYTES,
  MessageReceiver,
  NotReceived,
} from "./message_receiver.ts";
import { openRawIcmp } from "./raw_icmp.ts";
import type { SocketLibraries } from "./socket_libraries.ts";

const ECHO_HEADER = 8;
/** Messages that are looked at in one call, so that it ends. */
const MAX_MESSAGES = 256;

/**
 * Opens what the system allows.
 * @returns undefined where it allows neither family: raw sockets need an
 *          administrator.
 */
export function openEchoListener(
  { ws2 }: SocketLibraries,
): EchoListener | undefined {
  const sockets = ([4, 6] as const).map((family) => ({
    family,
    socket: openRawIcmp(ws2, family),
  })).filter(({ socket }) => socket >= 0);
  if (sockets.length === 0) return undefined;
  const bytes = new Uint8Array(DATAGRAM_BYTES);
  const receiver = new MessageReceiver(ws2, { bytes, controlRoom: 0 });
  const nextAt = (socket: number, family: 4 | 6): EchoRequest | undefined => {
    for (let seen = 0; seen < MAX_MESSAGES; seen++) {
      const length = receiver.receive(socket, 0);
      if (length === NotReceived.Nothing) return undefined;
      const at = family === 4 ? headerLength(bytes, 0) : 0;
      const request = family === 4
        ? IcmpType.EchoRequest
        : Icmpv6Type.EchoRequest;
      if (length < at + ECHO_HEADER || bytes[at] !== request) continue;
      const source = new Int32Array(4);
      receiver.block.readSource(source, 0);
      return { source, data: bytes.slice(at + ECHO_HEADER, length) };
    }
    return undefined;
  };
  return {
    next: () => {
      for (const { family, socket } of sockets) {
        const request = nextAt(socket, family);
        if (request !== undefined) return request;
      }
      return undefined;
    },
    [Symbol.dispose]: () => {
      for (const { socket } of sockets.splice(0)) ws2.call.closesocket(socket);
    },
  };
}
