/** Structs of ws2_32.dll (x64), as data; see ffi/layout.ts. */
import { struct } from "../../layout.ts";

/** IPv4 socket address. */
export const sockaddrIn = struct("struct sockaddr_in", "winsock2.h", 16, [
  ["sin_family", "u16le", 0],
  ["sin_port", "u16be", 2],
  ["sin_addr", "u32be", 4],
]);

/** IPv6 socket address. */
export const sockaddrIn6 = struct("struct sockaddr_in6", "ws2tcpip.h", 28, [
  ["sin6_family", "u16le", 0],
  ["sin6_port", "u16be", 2],
  ["sin6_flowinfo", "u32be", 4],
  ["sin6_addr", "bytes", 8],
  ["sin6_scope_id", "u32le", 24],
]);

/** What closing does with what was not yet sent. */
export const linger = struct("struct linger", "winsock2.h", 4, [
  ["l_onoff", "u16le", 0],
  ["l_linger", "u16le", 2],
]);

/** What is waited for at a socket. */
export const pollFd = struct("WSAPOLLFD", "winsock2.h", 16, [
  ["fd", "u64le", 0],
  ["events", "u16le", 8],
  ["revents", "u16le", 10],
]);

/** What the system tells of a connection; the state is a TCPSTATE. */
export const tcpInfo = struct("TCP_INFO_v0", "mstcpip.h", 88, [
  ["State", "u32le", 0],
  ["Mss", "u32le", 4],
  ["ConnectionTimeMs", "u64le", 8],
  ["TimestampsEnabled", "u8", 16],
  ["RttUs", "u32le", 20],
  ["BytesInFlight", "u32le", 28],
  ["BytesOut", "u64le", 48],
  ["SynRetrans", "u8", 84],
]);

/** A piece of memory. */
export const wsaBuf = struct("WSABUF", "winsock2.h", 16, [
  ["len", "u32le", 0],
  ["buf", "pointer", 8],
]);

/** A message with address, pieces and control data. */
export const wsaMsg = struct("WSAMSG", "winsock2.h", 56, [
  ["name", "pointer", 0],
  ["namelen", "i32le", 8],
  ["lpBuffers", "pointer", 16],
  ["dwBufferCount", "u32le", 24],
  ["Control", "bytes", 32],
  ["dwFlags", "u32le", 48],
]);

/** Header of a control message; its data follows, all padded to 8. */
export const wsaCmsgHdr = struct("WSACMSGHDR", "winsock2.h", 16, [
  ["cmsg_len", "u64le", 0],
  ["cmsg_level", "i32le", 8],
  ["cmsg_type", "i32le", 12],
]);

/** The local address and interface of an IPv4 datagram. */
export const inPktinfo = struct("IN_PKTINFO", "ws2tcpip.h", 8, [
  ["ipi_addr", "u32be", 0],
  ["ipi_ifindex", "u32le", 4],
]);

/** The same of an IPv6 datagram. */
export const in6Pktinfo = struct("IN6_PKTINFO", "ws2tcpip.h", 20, [
  ["ipi6_addr", "bytes", 0],
  ["ipi6_ifindex", "u32le", 16],
]);

/** How often a connection is asked for, and after what time again. */
export const tcpInitialRto = struct(
  "TCP_INITIAL_RTO_PARAMETERS",
  "mstcpip.h",
  4,
  [
    ["Rtt", "u16le", 0],
    ["MaxSynRetransmissions", "u8", 2],
  ],
);
