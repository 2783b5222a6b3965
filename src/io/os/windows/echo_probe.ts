/** Pings by a raw socket: what ping.exe sends has the same identifier for all. */
import * as icmp from "../../../core/wire/icmp.ts";
import * as icmpv6 from "../../../core/wire/icmpv6.ts";
import { headerLength } from "../../../core/wire/ipv4.ts";
import type { EchoProbe } from "../../ports/echo_probe.ts";
import {
  DATAGRAM_BYTES,
  MessageReceiver,
  NotReceived,
} from "./message_receiver.ts";
import { openRawIcmp } from "./raw_icmp.ts";
import { SOCKET_ADDRESS_ROOM, writeSocketAddress } from "./socket_address.ts";
import type { SocketLibraries } from "./socket_libraries.ts";

/** Header and some bytes behind it. */
const REQUEST_BYTES = 16;
/** Messages that are looked at in one call, so that it ends. */
const MAX_MESSAGES = 256;

/** @returns undefined where the system does not let us: it takes an administrator. */
export function openEchoProbe(
  { ws2 }: SocketLibraries,
  family: 4 | 6,
): EchoProbe | undefined {
  const socket = openRawIcmp(ws2, family);
  if (socket < 0) return undefined;
  const bytes = new Uint8Array(DATAGRAM_BYTES);
  const receiver = new MessageReceiver(ws2, { bytes, controlRoom: 0 });
  const request = new Uint8Array(REQUEST_BYTES);
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const reply = family === 4 ? icmp.Type.EchoReply : icmpv6.Type.EchoReply;
  let sequence = 0;
  return {
    send(words, identifier) {
      const extra = (identifier << 16 | ++sequence & 0xffff) >>> 0;
      if (family === 4) {
        const { EchoRequest } = icmp.Type;
        icmp.emit(request, 0, EchoRequest, 0, extra, REQUEST_BYTES);
      } else {
        // The system knows the source, and computes the checksum over it.
        const { EchoRequest } = icmpv6.Type;
        icmpv6.emit(request, 0, EchoRequest, 0, extra, REQUEST_BYTES, 0);
      }
      const length = writeSocketAddress(address, 0, family, words, 0, 0);
      const { sendto } = ws2.call;
      return sendto(socket, request, REQUEST_BYTES, 0, address, length) ===
        REQUEST_BYTES;
    },
    isAnswered(identifier) {
      for (let seen = 0; seen < MAX_MESSAGES; seen++) {
        const length = receiver.receive(socket, 0);
        if (length === NotReceived.Nothing) return false;
        const at = family === 4 ? headerLength(bytes, 0) : 0;
        if (length < at + icmp.HEADER_LENGTH || bytes[at] !== reply) continue;
        if (icmp.identifier(bytes, at) === identifier) return true;
      }
      return false;
    },
    [Symbol.dispose]: () => void ws2.call.closesocket(socket),
  };
}
