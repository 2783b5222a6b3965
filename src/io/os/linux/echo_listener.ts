/**
 * Raw sockets that get a copy of each echo request. Source: raw(7); RFC 3542
 * section 3.2 (ICMPv6 filters). IPv4 packets come with their IP header, ICMPv6
 * messages without one.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  AF,
  ICMP_FILTER,
  IPPROTO,
  SOCK,
  SOL,
} from "../../../../ffi/linux_socket_constants.ts";
import { Type as IcmpType } from "../../../core/wire/icmp.ts";
import { Type as Icmpv6Type } from "../../../core/wire/icmpv6.ts";
import { headerLength } from "../../../core/wire/ipv4.ts";
import type { EchoListener, EchoRequest } from "../../ports/echo_listener.ts";
import { readSocketAddress, SOCKET_ADDRESS_ROOM } from "./socket_address.ts";

const ECHO_HEADER = 8;
const LARGEST_PACKET = 65_536;

/**
 * Opens what the system allows.
 * @returns undefined where it allows neither family: raw sockets need
 *          CAP_NET_RAW.
 */
export function openEchoListener(libc: Libc): EchoListener | undefined {
  const sockets = ([4, 6] as const).map((family) => ({
    family,
    descriptor: openRaw(libc, family),
  })).filter(({ descriptor }) => descriptor >= 0);
  if (sockets.length === 0) return undefined;
  const bytes = new Uint8Array(LARGEST_PACKET);
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const addressLength = new Uint32Array(1);
  const receive = (descriptor: number): number => {
    addressLength[0] = address.length;
    return libc.call.recvfrom(
      descriptor,
      bytes,
      bytes.length,
      0,
      address,
      new Uint8Array(addressLength.buffer),
    );
  };
  const next = (): EchoRequest | undefined => {
    for (const { family, descriptor } of sockets) {
      const length = receive(descriptor);
      if (length < 0) continue;
      const at = family === 4 ? headerLength(bytes, 0) : 0;
      const source = new Int32Array(4);
      readSocketAddress(address, 0, source, 0);
      return { source, data: bytes.slice(at + ECHO_HEADER, length) };
    }
    return undefined;
  };
  return {
    next,
    [Symbol.dispose]: () => {
      for (const { descriptor } of sockets.splice(0)) {
        libc.call.close(descriptor);
      }
    },
  };
}

/** @returns a descriptor that gets echo requests alone, or -1. */
function openRaw(libc: Libc, family: 4 | 6): number {
  const isIpv4 = family === 4;
  const descriptor = libc.call.socket(
    isIpv4 ? AF.INET : AF.INET6,
    SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC,
    isIpv4 ? IPPROTO.ICMP : IPPROTO.ICMPV6,
  );
  if (descriptor < 0) return -1;
  const filter = isIpv4
    ? letIn(1, IcmpType.EchoRequest)
    : letIn(8, Icmpv6Type.EchoRequest);
  const level = isIpv4 ? SOL.RAW : IPPROTO.ICMPV6;
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

/** A filter of so many words of 32 bits, where 1 keeps a type out. */
function letIn(words: number, type: number): Uint8Array<ArrayBuffer> {
  const types = new Uint32Array(words).fill(0xffff_ffff);
  types[type >> 5] &= ~(1 << (type & 31));
  return new Uint8Array(types.buffer);
}
