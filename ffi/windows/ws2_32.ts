/**
 * ws2_32.dll (Winsock 2): sockets.
 * https://learn.microsoft.com/en-us/windows/win32/api/winsock2/
 *
 * A SOCKET is a handle and declared u32 as in kernel32.ts; 0xffffffff where there
 * is none. Calls give 0 or a count, or -1, and then WSAGetLastError as the very
 * next call tells why. Constants: winsock2.h, ws2ipdef.h, mswsock.h, mstcpip.h.
 *
 * Under Wine alone the DLL that SLUICE_TEST_WS2_32 names takes its place: a
 * stand-in of the tests for options that Wine does not keep.
 */
import { openLibrary } from "./missing_library.ts";
import { standInOf } from "./wine.ts";

const SYMBOLS = {
  // int WSAStartup(WORD wVersionRequired, LPWSADATA lpWSAData);
  // Gives the error itself.
  WSAStartup: { parameters: ["u16", "buffer"], result: "i32" },
  // int WSACleanup(void);
  WSACleanup: { parameters: [], result: "i32" },
  // int WSAGetLastError(void);
  WSAGetLastError: { parameters: [], result: "i32" },
  // SOCKET WSASocketW(int af, int type, int protocol, LPWSAPROTOCOL_INFOW lpProtocolInfo,
  //                   GROUP g, DWORD dwFlags);
  WSASocketW: {
    parameters: ["i32", "i32", "i32", "pointer", "u32", "u32"],
    result: "u32",
  },
  // int closesocket(SOCKET s);
  closesocket: { parameters: ["u32"], result: "i32" },
  // int bind(SOCKET s, const struct sockaddr *name, int namelen);
  bind: { parameters: ["u32", "buffer", "i32"], result: "i32" },
  // int connect(SOCKET s, const struct sockaddr *name, int namelen);
  connect: { parameters: ["u32", "buffer", "i32"], result: "i32" },
  // int listen(SOCKET s, int backlog);
  listen: { parameters: ["u32", "i32"], result: "i32" },
  // SOCKET accept(SOCKET s, struct sockaddr *addr, int *addrlen);
  accept: { parameters: ["u32", "buffer", "buffer"], result: "u32" },
  // int shutdown(SOCKET s, int how);
  shutdown: { parameters: ["u32", "i32"], result: "i32" },
  // int getsockname(SOCKET s, struct sockaddr *name, int *namelen);
  getsockname: { parameters: ["u32", "buffer", "buffer"], result: "i32" },
  // int getpeername(SOCKET s, struct sockaddr *name, int *namelen);
  getpeername: { parameters: ["u32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(SOCKET s, int level, int optname, const char *optval, int optlen);
  setsockopt: {
    parameters: ["u32", "i32", "i32", "buffer", "i32"],
    result: "i32",
  },
  // int getsockopt(SOCKET s, int level, int optname, char *optval, int *optlen);
  getsockopt: {
    parameters: ["u32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  // int ioctlsocket(SOCKET s, long cmd, u_long *argp);
  ioctlsocket: { parameters: ["u32", "i32", "buffer"], result: "i32" },
  // int WSAIoctl(SOCKET s, DWORD dwIoControlCode, LPVOID lpvInBuffer, DWORD cbInBuffer,
  //     LPVOID lpvOutBuffer, DWORD cbOutBuffer, LPDWORD lpcbBytesReturned,
  //     LPWSAOVERLAPPED lpOverlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine);
  WSAIoctl: {
    parameters: [
      "u32",
      "u32",
      "buffer",
      "u32",
      "buffer",
      "u32",
      "buffer",
      "pointer",
      "pointer",
    ],
    result: "i32",
  },
  // int recv(SOCKET s, char *buf, int len, int flags);
  recv: { parameters: ["u32", "buffer", "i32", "i32"], result: "i32" },
  // int send(SOCKET s, const char *buf, int len, int flags);
  send: { parameters: ["u32", "buffer", "i32", "i32"], result: "i32" },
  // int recvfrom(SOCKET s, char *buf, int len, int flags, struct sockaddr *from, int *fromlen);
  recvfrom: {
    parameters: ["u32", "buffer", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  // int recvfrom(…), the bytes by their address
  recvfromAt: {
    name: "recvfrom",
    parameters: ["u32", "u64", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  // int sendto(SOCKET s, const char *buf, int len, int flags, const struct sockaddr *to, int tolen);
  sendto: {
    parameters: ["u32", "buffer", "i32", "i32", "buffer", "i32"],
    result: "i32",
  },
  // int sendto(…), the bytes by their address
  sendtoAt: {
    name: "sendto",
    parameters: ["u32", "u64", "i32", "i32", "buffer", "i32"],
    result: "i32",
  },
  // int WSASendMsg(SOCKET Handle, LPWSAMSG lpMsg, DWORD dwFlags, LPDWORD lpNumberOfBytesSent,
  //     LPWSAOVERLAPPED lpOverlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine);
  WSASendMsg: {
    parameters: ["u32", "buffer", "u32", "buffer", "pointer", "pointer"],
    result: "i32",
  },
  // int WSAPoll(LPWSAPOLLFD fdArray, ULONG fds, INT timeout);
  WSAPoll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions by their C names. */
export type Ws2Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** An open ws2_32.dll, Winsock started; disposing closes both. */
export interface Ws2 extends Disposable {
  readonly call: Ws2Symbols;
}

/** What socket() and accept() give where they fail. */
export const INVALID_SOCKET = 0xffff_ffff;

/** Flags of WSASocketW: readiness can be waited for, children don't inherit it. */
export const WSA_FLAGS = 0x01 | 0x80;

/** Address families. */
export const AF = { INET: 2, INET6: 23 } as const;

/** Socket types. */
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3 } as const;

/** Protocols; also the levels of their options and control messages. */
export const IPPROTO = {
  IP: 0,
  ICMP: 1,
  TCP: 6,
  UDP: 17,
  IPV6: 41,
  ICMPV6: 58,
} as const;

/** Level of the options of all sockets. */
export const SOL_SOCKET = 0xffff;

/** Options of SOL_SOCKET. */
export const SO = {
  REUSEADDR: 4,
  EXCLUSIVEADDRUSE: -5,
  KEEPALIVE: 8,
  LINGER: 0x80,
  SNDBUF: 0x1001,
  RCVBUF: 0x1002,
  ERROR: 0x1007,
  TYPE: 0x1008,
} as const;

/** Options and control messages of IPPROTO_IP. */
export const IP = {
  HDRINCL: 2,
  TTL: 4,
  DONTFRAGMENT: 14,
  PKTINFO: 19,
  HOPLIMIT: 21,
  RECVTTL: 21,
  UNICAST_IF: 31,
  MTU_DISCOVER: 71,
  MTU: 73,
} as const;

/** Options and control messages of IPPROTO_IPV6. */
export const IPV6 = {
  UNICAST_HOPS: 4,
  DONTFRAG: 14,
  PKTINFO: 19,
  HOPLIMIT: 21,
  V6ONLY: 27,
  UNICAST_IF: 31,
  MTU_DISCOVER: 71,
  MTU: 72,
} as const;

/** Values of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER. */
export const IP_PMTUDISC = { DO: 1, DONT: 2 } as const;

/** Options and control messages of IPPROTO_UDP: Windows 10 (version 2004) and later. */
export const UDP = {
  SEND_MSG_SIZE: 2,
  RECV_MAX_COALESCED_SIZE: 3,
  COALESCED_INFO: 3,
} as const;

/** Options of IPPROTO_TCP. */
export const TCP = {
  NODELAY: 1,
  KEEPALIVE: 3,
  KEEPCNT: 16,
  KEEPINTVL: 17,
} as const;

/** Commands of ioctlsocket. */
export const FIO = { NREAD: 0x4004_667f, NBIO: 0x8004_667e | 0 } as const;

/** Commands of WSAIoctl. */
export const SIO = {
  BASE_HANDLE: 0x4800_0022,
  TCP_INITIAL_RTO: 0x9800_0011,
  TCP_INFO: 0xd800_0027,
  UDP_CONNRESET: 0x9800_000c,
  UDP_NETRESET: 0x9800_000f,
  GET_EXTENSION_FUNCTION_POINTER: 0xc800_0006,
} as const;

/** States of a TCP connection, as SIO_TCP_INFO tells them. */
export const TCP_STATE = {
  ESTABLISHED: 4,
  FIN_WAIT_1: 5,
  FIN_WAIT_2: 6,
} as const;

/** WSAID_WSARECVMSG, the GUID of a function that no library exports. */
export const WSAID_WSARECVMSG: Uint8Array<ArrayBuffer> = new Uint8Array([
  ...[0xc8, 0xd7, 0x89, 0xf6, 0x1f, 0x6f, 0x6b, 0x43],
  ...[0x8a, 0x53, 0xe5, 0x4f, 0xe3, 0x51, 0xc3, 0x22],
]);

/** Flags of the calls that move messages. */
export const MSG = { PEEK: 0x2, TRUNC: 0x100, CTRUNC: 0x200 } as const;

/** What shutdown ends. */
export const SD = { RECEIVE: 0, SEND: 1, BOTH: 2 } as const;

/** Events of WSAPoll. */
export const POLL = {
  ERR: 1,
  HUP: 2,
  NVAL: 4,
  WRNORM: 0x10,
  RDNORM: 0x100,
} as const;

/** Codes of WSAGetLastError. Source: winerror.h. */
export const WSA = {
  NOT_ENOUGH_MEMORY: 8,
  EINTR: 10004,
  EACCES: 10013,
  EFAULT: 10014,
  EINVAL: 10022,
  EMFILE: 10024,
  EWOULDBLOCK: 10035,
  EINPROGRESS: 10036,
  EALREADY: 10037,
  ENOTSOCK: 10038,
  EMSGSIZE: 10040,
  ENOPROTOOPT: 10042,
  EPROTONOSUPPORT: 10043,
  EOPNOTSUPP: 10045,
  EAFNOSUPPORT: 10047,
  EADDRINUSE: 10048,
  EADDRNOTAVAIL: 10049,
  ENETDOWN: 10050,
  ENETUNREACH: 10051,
  ENETRESET: 10052,
  ECONNABORTED: 10053,
  ECONNRESET: 10054,
  ENOBUFS: 10055,
  EISCONN: 10056,
  ENOTCONN: 10057,
  ESHUTDOWN: 10058,
  ETIMEDOUT: 10060,
  ECONNREFUSED: 10061,
  EHOSTDOWN: 10064,
  EHOSTUNREACH: 10065,
} as const;

const VERSION_2_2 = 0x0202;
/** More than sizeof(WSADATA). */
const WSADATA_ROOM = 512;

/**
 * Opens the library and starts Winsock.
 * @throws {MissingLibraryError}
 * @throws {Error} where Winsock does not start.
 */
export function openWs2(): Ws2 {
  const standIn = standInOf("SLUICE_TEST_WS2_32");
  const library = openLibrary(standIn ?? "ws2_32.dll", SYMBOLS);
  const { symbols } = library;
  const error = symbols.WSAStartup(VERSION_2_2, new Uint8Array(WSADATA_ROOM));
  if (error !== 0) {
    library.close();
    throw new Error(`WSAStartup failed (Windows error ${error})`);
  }
  return {
    call: symbols,
    [Symbol.dispose]: () => {
      symbols.WSACleanup();
      library.close();
    },
  };
}
