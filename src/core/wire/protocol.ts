/**
 * IP protocol numbers (IANA «Assigned Internet Protocol Numbers»), which are
 * also the IPv6 next-header values.
 */
export const Protocol = {
  HopByHop: 0,
  Icmp: 1,
  Tcp: 6,
  Udp: 17,
  Routing: 43,
  Fragment: 44,
  AuthenticationHeader: 51,
  Icmpv6: 58,
  NoNextHeader: 59,
  DestinationOptions: 60,
} as const;

/** The user's text for a protocol number. */
export function protocolText(protocol: number): string {
  switch (protocol) {
    case Protocol.Icmp:
      return "ICMP";
    case Protocol.Tcp:
      return "TCP";
    case Protocol.Udp:
      return "UDP";
    case Protocol.Icmpv6:
      return "ICMPv6";
    default:
      return `protocol ${protocol}`;
  }
}
