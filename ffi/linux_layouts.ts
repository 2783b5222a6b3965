/**
 * Struct layouts of the Linux ABI (x86-64 and arm64, little-endian), as data;
 * how to read them stands in layout.ts.
 */

import { struct } from "./layout.ts";

/** Request of the interface ioctls; `ifr_flags` shares its place with others. */
export const ifreq = struct("struct ifreq", "net/if.h", 40, [
  ["ifr_name", "bytes", 0],
  ["ifr_flags", "u16le", 16],
]);

/** What stands before each packet of a TUN device opened with IFF_VNET_HDR. */
export const virtioNetHdr = struct(
  "struct virtio_net_hdr",
  "linux/virtio_net.h",
  10,
  [
    ["flags", "u8", 0],
    ["gso_type", "u8", 1],
    ["hdr_len", "u16le", 2],
    ["gso_size", "u16le", 4],
    ["csum_start", "u16le", 6],
    ["csum_offset", "u16le", 8],
  ],
);

/** Address of a netlink socket. */
export const sockaddrNl = struct("struct sockaddr_nl", "linux/netlink.h", 12, [
  ["nl_family", "u16le", 0],
  ["nl_pid", "u32le", 4],
  ["nl_groups", "u32le", 8],
]);

/** Header of each netlink message. */
export const nlmsghdr = struct("struct nlmsghdr", "linux/netlink.h", 16, [
  ["nlmsg_len", "u32le", 0],
  ["nlmsg_type", "u16le", 4],
  ["nlmsg_flags", "u16le", 6],
  ["nlmsg_seq", "u32le", 8],
  ["nlmsg_pid", "u32le", 12],
]);

/** Body of NLMSG_ERROR: 0 or a negative errno, and the request's header. */
export const nlmsgerr = struct("struct nlmsgerr", "linux/netlink.h", 20, [
  ["error", "i32le", 0],
  ["msg", "bytes", 4],
]);

/** Header of a netlink attribute; its payload follows, padded to 4. */
export const nlattr = struct("struct nlattr", "linux/netlink.h", 4, [
  ["nla_len", "u16le", 0],
  ["nla_type", "u16le", 2],
]);

/** Body of the link messages. */
export const ifinfomsg = struct("struct ifinfomsg", "linux/rtnetlink.h", 16, [
  ["ifi_family", "u8", 0],
  ["ifi_type", "u16le", 2],
  ["ifi_index", "i32le", 4],
  ["ifi_flags", "u32le", 8],
  ["ifi_change", "u32le", 12],
]);

/** Body of the address messages. */
export const ifaddrmsg = struct("struct ifaddrmsg", "linux/if_addr.h", 8, [
  ["ifa_family", "u8", 0],
  ["ifa_prefixlen", "u8", 1],
  ["ifa_flags", "u8", 2],
  ["ifa_scope", "u8", 3],
  ["ifa_index", "u32le", 4],
]);

/** Body of the route messages. */
export const rtmsg = struct("struct rtmsg", "linux/rtnetlink.h", 12, [
  ["rtm_family", "u8", 0],
  ["rtm_dst_len", "u8", 1],
  ["rtm_src_len", "u8", 2],
  ["rtm_tos", "u8", 3],
  ["rtm_table", "u8", 4],
  ["rtm_protocol", "u8", 5],
  ["rtm_scope", "u8", 6],
  ["rtm_type", "u8", 7],
  ["rtm_flags", "u32le", 8],
]);

/** Header of the routing rule messages. */
export const fibRuleHdr = struct(
  "struct fib_rule_hdr",
  "linux/fib_rules.h",
  12,
  [
    ["family", "u8", 0],
    ["dst_len", "u8", 1],
    ["src_len", "u8", 2],
    ["tos", "u8", 3],
    ["table", "u8", 4],
    ["res1", "u8", 5],
    ["res2", "u8", 6],
    ["action", "u8", 7],
    ["flags", "u32le", 8],
  ],
);

/** Header of the netfilter messages. */
export const nfgenmsg = struct(
  "struct nfgenmsg",
  "linux/netfilter/nfnetlink.h",
  4,
  [
    ["nfgen_family", "u8", 0],
    ["version", "u8", 1],
    ["res_id", "u16be", 2],
  ],
);

/** Which socket sock_diag is asked for; its addresses are 4 or 16 bytes. */
export const inetDiagSockid = struct(
  "struct inet_diag_sockid",
  "linux/inet_diag.h",
  48,
  [
    ["idiag_sport", "u16be", 0],
    ["idiag_dport", "u16be", 2],
    ["idiag_src", "bytes", 4],
    ["idiag_dst", "bytes", 20],
    ["idiag_if", "u32le", 36],
    ["idiag_cookie", "bytes", 40],
  ],
);

/** Question to sock_diag. */
export const inetDiagReqV2 = struct(
  "struct inet_diag_req_v2",
  "linux/inet_diag.h",
  56,
  [
    ["sdiag_family", "u8", 0],
    ["sdiag_protocol", "u8", 1],
    ["idiag_ext", "u8", 2],
    ["pad", "u8", 3],
    ["idiag_states", "u32le", 4],
    ["id", "bytes", 8],
  ],
);

/** Answer of sock_diag. */
export const inetDiagMsg = struct(
  "struct inet_diag_msg",
  "linux/inet_diag.h",
  72,
  [
    ["idiag_family", "u8", 0],
    ["idiag_state", "u8", 1],
    ["idiag_timer", "u8", 2],
    ["idiag_retrans", "u8", 3],
    ["id", "bytes", 4],
    ["idiag_expires", "u32le", 52],
    ["idiag_rqueue", "u32le", 56],
    ["idiag_wqueue", "u32le", 60],
    ["idiag_uid", "u32le", 64],
    ["idiag_inode", "u32le", 68],
  ],
);

/** One step of a filter of sock_diag. */
export const inetDiagBcOp = struct(
  "struct inet_diag_bc_op",
  "linux/inet_diag.h",
  4,
  [
    ["code", "u8", 0],
    ["yes", "u8", 1],
    ["no", "u16le", 2],
  ],
);

/** Header of a message of the kernel connector; its data follows. */
export const cnMsg = struct("struct cn_msg", "linux/connector.h", 20, [
  ["id", "bytes", 0],
  ["seq", "u32le", 8],
  ["ack", "u32le", 12],
  ["len", "u16le", 16],
  ["flags", "u16le", 18],
]);

/** What the process connector tells. */
export const procEvent = struct("struct proc_event", "linux/cn_proc.h", 40, [
  ["what", "u32le", 0],
  ["cpu", "u32le", 4],
  ["timestamp_ns", "u64le", 8],
  ["event_data", "bytes", 16],
]);

/** IPv4 socket address. */
export const sockaddrIn = struct("struct sockaddr_in", "netinet/in.h", 16, [
  ["sin_family", "u16le", 0],
  ["sin_port", "u16be", 2],
  ["sin_addr", "u32be", 4],
]);

/** IPv6 socket address. */
export const sockaddrIn6 = struct("struct sockaddr_in6", "netinet/in.h", 28, [
  ["sin6_family", "u16le", 0],
  ["sin6_port", "u16be", 2],
  ["sin6_flowinfo", "u32be", 4],
  ["sin6_addr", "bytes", 8],
  ["sin6_scope_id", "u32le", 24],
]);

/** A piece of a scattered message. */
export const iovec = struct("struct iovec", "sys/uio.h", 16, [
  ["iov_base", "pointer", 0],
  ["iov_len", "u64le", 8],
]);

/** A message with its address and its control data. */
export const msghdr = struct("struct msghdr", "sys/socket.h", 56, [
  ["msg_name", "pointer", 0],
  ["msg_namelen", "u32le", 8],
  ["msg_iov", "pointer", 16],
  ["msg_iovlen", "u64le", 24],
  ["msg_control", "pointer", 32],
  ["msg_controllen", "u64le", 40],
  ["msg_flags", "i32le", 48],
]);

/** One element of sendmmsg and recvmmsg. */
export const mmsghdr = struct("struct mmsghdr", "sys/socket.h", 64, [
  ["msg_hdr", "bytes", 0],
  ["msg_len", "u32le", 56],
]);

/** Header of one piece of control data; its data follows at 16. */
export const cmsghdr = struct("struct cmsghdr", "sys/socket.h", 16, [
  ["cmsg_len", "u64le", 0],
  ["cmsg_level", "i32le", 8],
  ["cmsg_type", "i32le", 12],
]);

/** IP_PKTINFO. */
export const inPktinfo = struct("struct in_pktinfo", "netinet/in.h", 12, [
  ["ipi_ifindex", "i32le", 0],
  ["ipi_spec_dst", "u32be", 4],
  ["ipi_addr", "u32be", 8],
]);

/** IPV6_PKTINFO. */
export const in6Pktinfo = struct("struct in6_pktinfo", "netinet/in.h", 20, [
  ["ipi6_addr", "bytes", 0],
  ["ipi6_ifindex", "u32le", 16],
]);

/** What IP_RECVERR says about a datagram; the offender's address follows. */
export const sockExtendedErr = struct(
  "struct sock_extended_err",
  "linux/errqueue.h",
  16,
  [
    ["ee_errno", "u32le", 0],
    ["ee_origin", "u8", 4],
    ["ee_type", "u8", 5],
    ["ee_code", "u8", 6],
    ["ee_info", "u32le", 8],
    ["ee_data", "u32le", 12],
  ],
);

/** One descriptor of poll(2). */
export const pollfd = struct("struct pollfd", "poll.h", 8, [
  ["fd", "i32le", 0],
  ["events", "u16le", 4],
  ["revents", "u16le", 6],
]);

/** One event of epoll; packed on x86-64, and only there. */
export const epollEventX64 = struct("struct epoll_event", "sys/epoll.h", 12, [
  ["events", "u32le", 0],
  ["data", "u64le", 4],
]);

/** One event of epoll on arm64. */
export const epollEventArm64 = struct("struct epoll_event", "sys/epoll.h", 16, [
  ["events", "u32le", 0],
  ["data", "u64le", 8],
]);

/** A time of the system's clocks. */
export const timespec = struct("struct timespec", "time.h", 16, [
  ["tv_sec", "i64le", 0],
  ["tv_nsec", "i64le", 8],
]);

/** When a timer goes off. */
export const itimerspec = struct("struct itimerspec", "sys/timerfd.h", 32, [
  ["it_interval", "bytes", 0],
  ["it_value", "bytes", 16],
]);

/** A time-out of a socket. */
export const timeval = struct("struct timeval", "sys/time.h", 16, [
  ["tv_sec", "i64le", 0],
  ["tv_usec", "i64le", 8],
]);

/** SO_LINGER: with a time of 0, closing resets the connection. */
export const linger = struct("struct linger", "sys/socket.h", 8, [
  ["l_onoff", "i32le", 0],
  ["l_linger", "i32le", 4],
]);

/** A resource limit: what holds now, and how far it may be raised. */
export const rlimit = struct("struct rlimit", "sys/resource.h", 16, [
  ["rlim_cur", "u64le", 0],
  ["rlim_max", "u64le", 8],
]);
