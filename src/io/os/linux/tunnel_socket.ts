/**
 * The UDP socket that carries tunnel messages: one dual-stack socket, opened by
 * one thread, used by all. Source: udp(7), ip(7), ipv6(7).
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  AF,
  ERRNO,
  IP,
  IP_PMTUDISC,
  IPPROTO,
  IPV6,
  SO,
  SOCK,
  SOL,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import {
  type OpenedTunnelSocket,
  PortInUseError,
  type TunnelSocket,
  type TunnelSocketAttachment,
  type TunnelSocketOptions,
} from "../../ports.ts";
import { AttachedTunnelSocket } from "../shared/attached_tunnel_socket.ts";
import { TunnelSocketSources } from "../shared/tunnel_socket_sources.ts";
import {
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";
import { SocketOptions } from "./socket_option.ts";
import { TunnelReceiver } from "./tunnel_receiver.ts";
import { tunnelTrains } from "./tunnel_trains.ts";

/** What the socket may hold while its worker is busy. */
const BUFFER_BYTES = 7 << 20;

/**
 * Opens and binds the socket; 64 KiB datagrams, trains where the system has them.
 * @throws {PortInUseError} where another program has the port.
 * @throws {LibcError} where anything else fails.
 */
export function openTunnelSocket(
  libc: Libc,
  options: TunnelSocketOptions,
): OpenedTunnelSocket {
  const { descriptor, family } = openEitherFamily(libc);
  try {
    configure(libc, descriptor, family, options);
    const port = bindAny(libc, descriptor, family, options.port);
    return {
      descriptor,
      port,
      family,
      sources: options.source === "sticky"
        ? new SharedArrayBuffer(TunnelSocketSources.BYTE_LENGTH)
        : undefined,
      leaveBy: (index) =>
        new SocketOptions(libc)
          .set(descriptor, SOL.SOCKET, SO.BINDTOIFINDEX, index),
      [Symbol.dispose]: () => void libc.call.close(descriptor),
    };
  } catch (error) {
    libc.call.close(descriptor);
    throw error;
  }
}

/** Uses the socket in one worker; disposing of it leaves the socket open. */
export function attachTunnelSocket(
  libc: Libc,
  attachment: TunnelSocketAttachment,
): TunnelSocket {
  const { descriptor, family, bytes } = attachment;
  const segment = new SocketOptions(libc)
    .get(descriptor, IPPROTO.UDP, UDP.SEGMENT);
  const trains = segment < 0 ? "never" : "tried";
  return new AttachedTunnelSocket(attachment, (messages, sources) => ({
    trains: tunnelTrains(libc, { ...messages, family, bytes, trains }),
    receiver: new TunnelReceiver(libc, attachment, sources),
  }));
}

function openEitherFamily(
  libc: Libc,
): { descriptor: number; family: 4 | 6 } {
  const type = SOCK.DGRAM | SOCK.CLOEXEC;
  const v6 = libc.call.socket(AF.INET6, type, 0);
  if (v6 >= 0) return { descriptor: v6, family: 6 };
  if (libc.errno() !== ERRNO.EAFNOSUPPORT) throw libc.error("socket");
  const v4 = libc.call.socket(AF.INET, type, 0);
  if (v4 < 0) throw libc.error("socket");
  return { descriptor: v4, family: 4 };
}

function configure(
  libc: Libc,
  descriptor: number,
  family: 4 | 6,
  options: TunnelSocketOptions,
): void {
  const socket = new SocketOptions(libc);
  socket.setBuffer(descriptor, "receive", BUFFER_BYTES);
  socket.setBuffer(descriptor, "send", BUFFER_BYTES);
  if (family === 6 && !socket.set(descriptor, IPPROTO.IPV6, IPV6.V6ONLY, 0)) {
    throw libc.error("setsockopt(IPV6_V6ONLY)");
  }
  // As in the kernel's WireGuard, routers may fragment: a tunnel without it
  // would stop where ICMP is lost.
  socket.set(descriptor, IPPROTO.IP, IP.MTU_DISCOVER, IP_PMTUDISC.DONT);
  socket.set(descriptor, IPPROTO.UDP, UDP.GRO, 1);
  if (options.source === "sticky") {
    if (family === 6) {
      socket.set(descriptor, IPPROTO.IPV6, IPV6.RECVPKTINFO, 1);
    } else socket.set(descriptor, IPPROTO.IP, IP.PKTINFO, 1);
  }
  if (
    options.fwmark !== undefined &&
    !socket.set(descriptor, SOL.SOCKET, SO.MARK, options.fwmark)
  ) throw libc.error("setsockopt(SO_MARK)");
  if (
    options.interfaceIndex !== undefined &&
    !socket.set(
      descriptor,
      SOL.SOCKET,
      SO.BINDTOIFINDEX,
      options.interfaceIndex,
    )
  ) throw libc.error("setsockopt(SO_BINDTOIFINDEX)");
}

/** @returns the port that the socket then has. */
function bindAny(
  libc: Libc,
  descriptor: number,
  family: 4 | 6,
  port: number,
): number {
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const any = new Int32Array(4);
  const length = writeSocketAddress(address, 0, family, any, 0, port);
  if (libc.call.bind(descriptor, address, length) !== 0) {
    const cause = libc.error("bind");
    throw cause.code === ERRNO.EADDRINUSE
      ? new PortInUseError(port, { cause })
      : cause;
  }
  const room = new Uint8Array(new Uint32Array([address.length]).buffer);
  if (libc.call.getsockname(descriptor, address, room) !== 0) {
    throw libc.error("getsockname");
  }
  return readSocketPort(address, 0);
}
