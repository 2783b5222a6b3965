/**
 * Sockets for echo requests to the outside. With CAP_NET_RAW one raw socket of
 * each family serves all mappings, and the gateway chooses identifiers freely;
 * without it each mapping has a ping socket, whose bound port is its identifier
 * and which the system allows to the groups of net.ipv4.ping_group_range.
 * Source: raw(7), icmp(7).
 *
 * Raw sockets let in echo replies alone. Errors about requests need no filter
 * of their own: they come by the error queue, with the request's first bytes.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  AF,
  ICMP_FILTER,
  IPPROTO,
  SO,
  SOCK,
  SOL,
} from "../../../../ffi/linux_socket_constants.ts";
import { Type as IcmpType } from "../../../core/wire/icmp.ts";
import { Type as Icmpv6Type } from "../../../core/wire/icmpv6.ts";
import type { SocketOptions } from "./socket_option.ts";

/**
 * Opens a raw socket that receives echo replies.
 * @returns its descriptor, or -1; errno tells why.
 */
export function openRawEcho(libc: Libc, family: 4 | 6): number {
  const descriptor = libc.call.socket(
    family === 4 ? AF.INET : AF.INET6,
    SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC,
    family === 4 ? IPPROTO.ICMP : IPPROTO.ICMPV6,
  );
  if (descriptor < 0) return -1;
  const filter = family === 4 ? filter4() : filter6();
  const level = family === 4 ? SOL.RAW : IPPROTO.ICMPV6;
  const result = libc.call.setsockopt(
    descriptor,
    level,
    ICMP_FILTER,
    filter,
    filter.length,
  );
  if (result === 0) return descriptor;
  libc.call.close(descriptor);
  return -1;
}

/**
 * Opens a ping socket; it has no identifier before it is bound.
 * @returns its descriptor, or -1; errno tells why.
 */
export function openPing(
  libc: Libc,
  options: SocketOptions,
  family: 4 | 6,
): number {
  const descriptor = libc.call.socket(
    family === 4 ? AF.INET : AF.INET6,
    SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC,
    family === 4 ? IPPROTO.ICMP : IPPROTO.ICMPV6,
  );
  // Ping sockets share identifiers by default, and one of them gets the replies.
  if (descriptor >= 0) options.set(descriptor, SOL.SOCKET, SO.REUSEADDR, 0);
  return descriptor;
}

/** struct icmp_filter: 32 bits, 1 keeps the type out. */
function filter4(): Uint8Array<ArrayBuffer> {
  const types = new Uint32Array([~(1 << IcmpType.EchoReply)]);
  return new Uint8Array(types.buffer);
}

/** struct icmp6_filter: 256 bits, 1 keeps the type out. */
function filter6(): Uint8Array<ArrayBuffer> {
  const types = new Uint32Array(8).fill(0xffff_ffff);
  types[Icmpv6Type.EchoReply >> 5] &= ~(1 << (Icmpv6Type.EchoReply & 31));
  return new Uint8Array(types.buffer);
}
