/**
 * Constants of the Linux socket, epoll and eventfd interfaces: those of the
 * generic ABI (x86-64, arm64). Names are those of the C headers, so that a test
 * can compare each with what a C compiler says.
 */

/** Address families. */
export const AF = { INET: 2, INET6: 10 } as const;

/** Socket types, with the flags that `socket` takes along. */
export const SOCK = {
  STREAM: 1,
  DGRAM: 2,
  RAW: 3,
  NONBLOCK: 0x800,
  CLOEXEC: 0x80000,
} as const;

/** Protocols; also the levels of their options and control messages. */
export const IPPROTO = {
  IP: 0,
  ICMP: 1,
  TCP: 6,
  UDP: 17,
  IPV6: 41,
  ICMPV6: 58,
} as const;

/** Level of the options of all sockets and of raw ones. */
export const SOL = { SOCKET: 1, RAW: 255 } as const;

/** Options of SOL_SOCKET. */
export const SO = {
  REUSEADDR: 2,
  ERROR: 4,
  SNDBUF: 7,
  RCVBUF: 8,
  KEEPALIVE: 9,
  LINGER: 13,
  BINDTODEVICE: 25,
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
  MARK: 36,
  BINDTOIFINDEX: 62,
} as const;

/** Options and control messages of IPPROTO_IP. */
export const IP = {
  TTL: 2,
  PKTINFO: 8,
  MTU_DISCOVER: 10,
  RECVERR: 11,
  RECVTTL: 12,
  MTU: 14,
  BIND_ADDRESS_NO_PORT: 24,
} as const;

/** Values of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER. */
export const IP_PMTUDISC = { DONT: 0, WANT: 1, DO: 2 } as const;

/** Options and control messages of IPPROTO_IPV6. */
export const IPV6 = {
  MTU_DISCOVER: 23,
  MTU: 24,
  RECVERR: 25,
  V6ONLY: 26,
  RECVPKTINFO: 49,
  PKTINFO: 50,
  RECVHOPLIMIT: 51,
  HOPLIMIT: 52,
} as const;

/** Options and control messages of IPPROTO_UDP. */
export const UDP = { SEGMENT: 103, GRO: 104 } as const;

/** Options of IPPROTO_TCP. */
export const TCP = {
  NODELAY: 1,
  KEEPIDLE: 4,
  KEEPINTVL: 5,
  KEEPCNT: 6,
  INFO: 11,
  REPAIR: 19,
  NOTSENT_LOWAT: 25,
} as const;

/** States of a TCP socket, as TCP_INFO tells them. */
export const TCP_STATE = {
  ESTABLISHED: 1,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
} as const;

/** What `shutdown` ends. */
export const SHUT = { RD: 0, WR: 1, RDWR: 2 } as const;

/** Option 1 of SOL_RAW on an ICMP socket, and of IPPROTO_ICMPV6 on an ICMPv6 one. */
export const ICMP_FILTER = 1;

/** Flags of the calls that move messages. */
export const MSG = {
  PEEK: 0x2,
  TRUNC: 0x20,
  DONTWAIT: 0x40,
  ERRQUEUE: 0x2000,
  NOSIGNAL: 0x4000,
} as const;

/** Values of `ee_origin` in struct sock_extended_err. */
export const SO_EE_ORIGIN = { LOCAL: 1, ICMP: 2, ICMP6: 3 } as const;

/** Events of poll and epoll. */
export const POLL = {
  IN: 0x1,
  PRI: 0x2,
  OUT: 0x4,
  ERR: 0x8,
  HUP: 0x10,
  RDHUP: 0x2000,
} as const;

/** Operations and flags of epoll. */
export const EPOLL = {
  CTL_ADD: 1,
  CTL_DEL: 2,
  CTL_MOD: 3,
  CLOEXEC: 0x80000,
} as const;

/** Flags of eventfd. */
export const EFD = { NONBLOCK: 0x800, CLOEXEC: 0x80000 } as const;

/** Error numbers that the socket code tells apart. */
export const ERRNO = {
  EPERM: 1,
  EINTR: 4,
  EIO: 5,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EEXIST: 17,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOSPC: 28,
  EMSGSIZE: 90,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ECONNREFUSED: 111,
  EINPROGRESS: 115,
} as const;
