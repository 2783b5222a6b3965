/** Which interface a socket leaves by, whatever routes say. */
import { IP, IPPROTO, IPV6 } from "../../../../ffi/windows/ws2_32.ts";
import { readU32le, writeU32be } from "../../../core/wire/bytes.ts";
import type { WinsockOptions } from "./winsock_options.ts";

/**
 * Makes datagrams of a family leave by an interface, for sockets that carry it.
 * @param index 0 leaves it to the routes
 * @returns whether it worked
 */
export function bindToInterface(
  options: WinsockOptions,
  socket: number,
  family: 4 | 6,
  index: number,
): boolean {
  const result = family === 4
    ? options.set(socket, IPPROTO.IP, IP.UNICAST_IF, networkOrder(index))
    : options.set(socket, IPPROTO.IPV6, IPV6.UNICAST_IF, index);
  return result === 0;
}

/** IP_UNICAST_IF alone wants its number in network order. */
function networkOrder(index: number): number {
  const bytes = new Uint8Array(4);
  writeU32be(bytes, 0, index);
  return readU32le(bytes, 0);
}
