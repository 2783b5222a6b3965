/**
 * Raw ICMP sockets: each gets a copy of every ICMP message that comes to the
 * host. They need an administrator. IPv4 packets come with their IP header,
 * ICMPv6 messages without one.
 */
import {
  AF,
  FIO,
  INVALID_SOCKET,
  IP,
  IPPROTO,
  IPV6,
  SIO,
  SO,
  SOCK,
  SOL_SOCKET,
  type Ws2,
  WSA_FLAGS,
} from "../../../../ffi/windows/ws2_32.ts";
import { SOCKET_ADDRESS_ROOM, writeSocketAddress } from "./socket_address.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** What such a socket may hold while its reader is busy. */
const BUFFER_BYTES = 1 << 20;

/**
 * Opens one that does not block.
 * @returns -1 where the system does not let us
 */
export function openRawIcmp(ws2: Ws2, family: 4 | 6): number {
  const { call } = ws2;
  const protocol = family === 4 ? IPPROTO.ICMP : IPPROTO.ICMPV6;
  const domain = family === 4 ? AF.INET : AF.INET6;
  const socket = call
    .WSASocketW(domain, SOCK.RAW, protocol, null, 0, WSA_FLAGS);
  if (socket === INVALID_SOCKET) return -1;
  const options = new WinsockOptions(ws2);
  options.setNonBlocking(socket, FIO.NBIO);
  options.switch(socket, SIO.UDP_CONNRESET, 0);
  options.set(socket, SOL_SOCKET, SO.RCVBUF, BUFFER_BYTES);
  if (family === 6) {
    options.set(socket, IPPROTO.IPV6, IPV6.HOPLIMIT, 1);
  } else options.set(socket, IPPROTO.IP, IP.HDRINCL, 0);
  // It hears nothing before it is bound.
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const any = new Int32Array(4);
  const length = writeSocketAddress(address, 0, family, any, 0, 0);
  if (call.bind(socket, address, length) === 0) return socket;
  call.closesocket(socket);
  return -1;
}
