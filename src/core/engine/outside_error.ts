/**
 * What the outside said about a datagram that a mapping sent: a report from a
 * socket's error queue, or a send that failed at once.
 */

/** A report about an earlier datagram; the caller reuses one object. */
export interface OutsideError {
  /** ICMP type and code, or ICMPv6's where `family` is 6. */
  readonly type: number;
  readonly code: number;
  /** MTU for «too big» and «fragmentation needed», else 0. */
  readonly extra: number;
  /** 4 or 6: the family of type and code. */
  readonly family: number;
  /** Who reported it: address words; all zero where the system does not say. */
  readonly offender: Int32Array;
  /** Where the datagram was going: address words. */
  readonly destination: Int32Array;
  readonly destinationPort: number;
  /**
   * What is known of the datagram, in the batch's arena: the UDP payload, or
   * for echo the ICMP message as it went out. Length 0: nothing is known.
   */
  readonly payloadAt: number;
  readonly payloadLength: number;
}

/** Why the system refused to send a row. */
export const SendFailure = {
  /** EMSGSIZE: larger than the path takes, and it must not be fragmented. */
  TooBig: 1,
  /** ENETUNREACH. */
  NetworkUnreachable: 2,
  /** EHOSTUNREACH, EHOSTDOWN. */
  HostUnreachable: 3,
  /** EACCES, EPERM: a local firewall. */
  NotPermitted: 4,
  /** Whatever passes by itself: ECONNREFUSED of an earlier datagram, ENOBUFS, EAGAIN. */
  Transient: 5,
} as const;

/** One of the values of {@linkcode SendFailure}. */
export type SendFailure = typeof SendFailure[keyof typeof SendFailure];
