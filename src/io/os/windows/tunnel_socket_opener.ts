/**
 * Opening the UDP socket that carries tunnel messages: dual-stack where the
 * system has both families.
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
  UDP,
  type Ws2,
  WSA,
  WSA_FLAGS,
} from "../../../../ffi/windows/ws2_32.ts";
import { Win32Error } from "../../../../ffi/windows/win32_error.ts";
import {
  type OpenedTunnelSocket,
  PortInUseError,
  type TunnelSocketOptions,
} from "../../ports.ts";
import { TunnelSocketSources } from "../shared/tunnel_socket_sources.ts";
import { DATAGRAM_BYTES } from "./message_receiver.ts";
import {
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";
import { bindToInterface } from "./socket_interface.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** What the socket may hold while its worker is busy. */
const BUFFER_BYTES = 7 << 20;
/**
 * Opens and binds the socket; trains where the system has them. Windows has no
 * marks: `fwmark` says nothing here.
 * @throws {PortInUseError} where another program has the port.
 * @throws {Win32Error} where anything else fails.
 */
export function openTunnelSocket(
  ws2: Ws2,
  options: TunnelSocketOptions,
): OpenedTunnelSocket {
  const v6 = open(ws2, 6, options);
  const family = v6 === INVALID_SOCKET ? 4 : 6;
  const descriptor = family === 6 ? v6 : open(ws2, 4, options);
  try {
    if (descriptor === INVALID_SOCKET) {
      throw new Win32Error("socket", ws2.call.WSAGetLastError());
    }
    const port = bindAny(ws2, descriptor, family, options.port);
    return {
      descriptor,
      port,
      family,
      sources: options.source === "sticky"
        ? new SharedArrayBuffer(TunnelSocketSources.BYTE_LENGTH)
        : undefined,
      leaveBy: (index) =>
        leaveBy(new WinsockOptions(ws2), descriptor, family, index),
      [Symbol.dispose]: () => void ws2.call.closesocket(descriptor),
    };
  } catch (error) {
    ws2.call.closesocket(descriptor);
    throw error;
  }
}

/** @returns INVALID_SOCKET where the system has no such family, or no way to do so. */
function open(ws2: Ws2, family: 4 | 6, options: TunnelSocketOptions): number {
  const domain = family === 6 ? AF.INET6 : AF.INET;
  const { call } = ws2;
  const socket = call
    .WSASocketW(domain, SOCK.DGRAM, IPPROTO.UDP, null, 0, WSA_FLAGS);
  if (socket === INVALID_SOCKET) return socket;
  if (configure(new WinsockOptions(ws2), socket, family, options)) {
    return socket;
  }
  call.closesocket(socket);
  return INVALID_SOCKET;
}

/** @returns whether the socket can be what it is to be. */
function configure(
  set: WinsockOptions,
  socket: number,
  family: 4 | 6,
  { source, interfaceIndex }: TunnelSocketOptions,
): boolean {
  set.setNonBlocking(socket, FIO.NBIO);
  set.set(socket, SOL_SOCKET, SO.EXCLUSIVEADDRUSE, 1);
  set.set(socket, SOL_SOCKET, SO.RCVBUF, BUFFER_BYTES);
  set.set(socket, SOL_SOCKET, SO.SNDBUF, BUFFER_BYTES);
  // A remote that is not there would fail the next receive.
  set.switch(socket, SIO.UDP_CONNRESET, 0);
  set.switch(socket, SIO.UDP_NETRESET, 0);
  set.set(
    socket,
    IPPROTO.UDP,
    UDP.RECV_MAX_COALESCED_SIZE,
    DATAGRAM_BYTES - 1,
  );
  if (source === "sticky") {
    set.set(socket, IPPROTO.IP, IP.PKTINFO, 1);
    if (family === 6) set.set(socket, IPPROTO.IPV6, IPV6.PKTINFO, 1);
  }
  const dual = family === 4 ||
    set.set(socket, IPPROTO.IPV6, IPV6.V6ONLY, 0) === 0;
  if (!dual || interfaceIndex === undefined) return dual;
  return leaveBy(set, socket, family, interfaceIndex);
}

/** A dual-stack socket that IPv6 leaves by routes could go round in a circle. */
function leaveBy(
  set: WinsockOptions,
  socket: number,
  family: 4 | 6,
  index: number,
): boolean {
  // One family is led even where the interface has no other.
  const v6 = family === 4 || bindToInterface(set, socket, 6, index);
  const v4 = bindToInterface(set, socket, 4, index);
  return v6 && v4;
}

/** @returns the port that the socket then has. */
function bindAny(
  { call }: Ws2,
  descriptor: number,
  family: 4 | 6,
  port: number,
): number {
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const any = new Int32Array(4);
  const length = writeSocketAddress(address, 0, family, any, 0, port);
  if (call.bind(descriptor, address, length) !== 0) {
    const cause = new Win32Error("bind", call.WSAGetLastError());
    const taken = cause.code === WSA.EADDRINUSE || cause.code === WSA.EACCES;
    throw taken ? new PortInUseError(port, { cause }) : cause;
  }
  const room = new Uint8Array(new Int32Array([address.length]).buffer);
  if (call.getsockname(descriptor, address, room) !== 0) {
    throw new Win32Error("getsockname", call.WSAGetLastError());
  }
  return readSocketPort(address, 0);
}
