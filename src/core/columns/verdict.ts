/** What is to become of a packet: the `verdict` column of a Batch. */
export const Verdict = {
  /** No stage has decided yet. */
  Undecided: 0,
  /** Dropped and counted; `target` holds the DropReason. */
  Drop: 1,
  /** Seal for the peer in `target` and send. The row is a whole IP packet. */
  ToPeer: 2,
  /** Write to the TUN device. The row is a whole IP packet. */
  ToHost: 3,
  /**
   * Send from the socket of the NAT row in `target` to `remote`:`remotePort`.
   * The row is the UDP payload alone; `hopLimit` and `dontFragment` apply.
   */
  ToUdp: 4,
  /**
   * Send from the echo socket of the NAT row in `target` to `remote`. The row
   * is the ICMP or ICMPv6 message, its identifier already the mapping's own.
   */
  ToEcho: 5,
  /** Hand to the control thread; the row is a whole IP packet (a DNS query). */
  ToControl: 6,
  /** The engine keeps what it needs (a fragment waits for the rest). */
  Held: 7,
  /**
   * Hand to the relay worker, which dials for the redirect row in `target`. The
   * row is the client's own SYN, a whole IP packet.
   */
  ToRelay: 8,
  /**
   * Hand to the relay worker; the row is a whole UDP packet for the proxy, of
   * the flow in `target` where there are flows.
   */
  ToRelayUdp: 9,
  /**
   * Seal for the peer in `peer` of the packet tunnel in `target`. The row is a
   * whole IP packet from the tunnel's address; it may be a super-packet.
   */
  ToTunnel: 10,
  /**
   * A captured packet goes on where it was going: to the network where `peer` is
   * the host, else to the host. The row is a whole IP packet, maybe with other
   * ends than it had.
   */
  Pass: 11,
} as const;

/** One of the values of {@linkcode Verdict}. */
export type Verdict = typeof Verdict[keyof typeof Verdict];
