/**
 * Why a packet was dropped. Hostile bytes never throw: they get a reason, and
 * the reason is counted. The order is the index into the counters; names are
 * what users see in statistics and traces.
 */
const NAMES = [
  "none",
  // Packet form
  "packet too short",
  "unknown IP version",
  "bad header length",
  "bad total length",
  "bad checksum",
  "bad extension header",
  // Tunnel
  "not a WireGuard message",
  "unknown session",
  "session expired",
  "authentication failed",
  "replayed or too old",
  "spoofed source",
  "no peer for destination",
  "no session with peer",
  "peer has no endpoint",
  "control queue full",
  // Gateway policy
  "TCP dropped by policy",
  "TCP rejected by policy",
  "UDP dropped by policy",
  "ICMP dropped by policy",
  "IPv6 refused by policy",
  "host services denied",
  "protocol not forwarded",
  "multicast or broadcast",
  "hop limit exceeded",
  "too big",
  // Translation
  "no mapping",
  "no free port",
  "mapping table full",
  "no descriptor left",
  "filtered by mapping",
  "ICMP not forwarded",
  "unmatched echo reply",
  "fragment table full",
  "fragment overlap",
  "fragment timeout",
  "batch full",
  // TCP by the system's own stack
  "TCP held while dialing",
  "no TCP connection",
  "TCP table full",
  "TCP limit of the peer",
  "relay address",
  "relay stray",
  "relay queue full",
  // Split tunnel
  "dropped by rule",
  "waits for its rule",
  "undecided for too long",
  "too many undecided",
  "flow table full",
  "way out is gone",
  "not carried by the way out",
  "family not in the tunnel",
  "own socket in the tunnel",
  // World
  "send failed",
  "host device full",
] as const;

/** A drop reason: an index into the drop counters; 0 is «not dropped». */
export type DropReason = number & { readonly __dropReason?: never };

/** The number of reasons, `none` included: the length of a counter column. */
export const DROP_REASON_COUNT = NAMES.length;

function reason(name: typeof NAMES[number]): DropReason {
  return NAMES.indexOf(name);
}

/** Every reason by name. */
export const DropReason = {
  None: reason("none"),
  TooShort: reason("packet too short"),
  UnknownVersion: reason("unknown IP version"),
  BadHeaderLength: reason("bad header length"),
  BadTotalLength: reason("bad total length"),
  BadChecksum: reason("bad checksum"),
  BadExtensionHeader: reason("bad extension header"),
  NotWireGuard: reason("not a WireGuard message"),
  UnknownSession: reason("unknown session"),
  SessionExpired: reason("session expired"),
  AuthenticationFailed: reason("authentication failed"),
  Replayed: reason("replayed or too old"),
  SpoofedSource: reason("spoofed source"),
  NoPeer: reason("no peer for destination"),
  NoSession: reason("no session with peer"),
  NoEndpoint: reason("peer has no endpoint"),
  ControlQueueFull: reason("control queue full"),
  TcpPolicyDrop: reason("TCP dropped by policy"),
  TcpPolicyReject: reason("TCP rejected by policy"),
  UdpPolicyDrop: reason("UDP dropped by policy"),
  IcmpPolicyDrop: reason("ICMP dropped by policy"),
  Ipv6Refused: reason("IPv6 refused by policy"),
  HostDenied: reason("host services denied"),
  ProtocolNotForwarded: reason("protocol not forwarded"),
  Multicast: reason("multicast or broadcast"),
  HopLimitExceeded: reason("hop limit exceeded"),
  TooBig: reason("too big"),
  NoMapping: reason("no mapping"),
  NoFreePort: reason("no free port"),
  MappingTableFull: reason("mapping table full"),
  NoDescriptor: reason("no descriptor left"),
  Filtered: reason("filtered by mapping"),
  IcmpNotForwarded: reason("ICMP not forwarded"),
  UnmatchedEchoReply: reason("unmatched echo reply"),
  FragmentTableFull: reason("fragment table full"),
  FragmentOverlap: reason("fragment overlap"),
  FragmentTimeout: reason("fragment timeout"),
  BatchFull: reason("batch full"),
  TcpHeld: reason("TCP held while dialing"),
  TcpNoConnection: reason("no TCP connection"),
  TcpTableFull: reason("TCP table full"),
  TcpPeerLimit: reason("TCP limit of the peer"),
  RelayAddress: reason("relay address"),
  RelayStray: reason("relay stray"),
  RelayQueueFull: reason("relay queue full"),
  RuleDrop: reason("dropped by rule"),
  RuleWait: reason("waits for its rule"),
  RuleTimeout: reason("undecided for too long"),
  HeldFull: reason("too many undecided"),
  FlowTableFull: reason("flow table full"),
  NoOutbound: reason("way out is gone"),
  NotCarried: reason("not carried by the way out"),
  TunnelFamily: reason("family not in the tunnel"),
  OwnSocket: reason("own socket in the tunnel"),
  SendFailed: reason("send failed"),
  HostDeviceFull: reason("host device full"),
} as const;

/** The user's text for a reason. */
export function dropReasonText(reason: DropReason): string {
  return NAMES[reason] ?? `reason ${reason}`;
}
