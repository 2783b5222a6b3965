/**
 * What one look at an IP packet has found, for all later stages: a view that is
 * filled again for each packet. `packet.ts` fills it.
 */

/** Which part of a packet a view shows: {@linkcode PacketView.fragment}. */
export const FragmentKind = {
  /** The whole packet. */
  None: 0,
  /** The part with the transport header; others follow. */
  First: 1,
  /** A part without transport header. */
  Later: 2,
} as const;

/**
 * What {@linkcode parsePacket} found. Positions are indices into the bytes that
 * were parsed; after a drop reason other than None the contents mean nothing.
 */
export class PacketView {
  /** Where the IP header starts. */
  at = 0;
  /** 4 or 6. */
  version = 0;
  /** The transport protocol; in IPv6 what the extension headers end with. */
  protocol = 0;
  /** Bytes from the IP header's start to the transport header. */
  headerLength = 0;
  /** Bytes of the whole IP packet; bytes behind it are padding. */
  totalLength = 0;
  /** Address words of the source. */
  readonly sourceWords: Int32Array = new Int32Array(4);
  /** Address words of the destination. */
  readonly destinationWords: Int32Array = new Int32Array(4);
  /** TCP and UDP; 0 for others and for later fragments. */
  sourcePort = 0;
  /** TCP and UDP; 0 for others and for later fragments. */
  destinationPort = 0;
  /** Of an ICMP or ICMPv6 echo; else 0. */
  identifier = 0;
  /** Of ICMP and ICMPv6; -1 for others and for later fragments. */
  icmpType = -1;
  /** One of {@linkcode FragmentKind}. */
  fragment = 0;
  /** Where a fragment's payload belongs, in bytes. */
  fragmentOffset = 0;
  /** The identification that fragments share: 16 bits, in IPv6 32. */
  fragmentId = 0;
  /** 1 where later fragments follow. */
  moreFragments = 0;
  /** Where an IPv6 fragment header lies; -1 without one. */
  fragmentHeaderAt = -1;
  /** Where the next-header byte lies that names the IPv6 fragment header; -1 without one. */
  fragmentNamedAt = -1;
  /** TTL or hop limit. */
  hopLimit = 0;
  /** Where the transport header, or a later fragment's payload, starts. */
  payloadAt = 0;
  /** Bytes from there to the packet's end. */
  payloadLength = 0;

  /** The IPv4 source address; in IPv6 the last word. */
  get source(): number {
    return this.sourceWords[3] >>> 0;
  }

  /** The IPv4 destination address; in IPv6 the last word. */
  get destination(): number {
    return this.destinationWords[3] >>> 0;
  }
}
