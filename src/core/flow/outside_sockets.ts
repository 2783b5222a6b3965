/**
 * The port through which the translator asks for sockets towards the outside.
 * One socket carries one mapping, so the system itself keeps external ports
 * unique (RFC 4787 REQ-3) and brings back only what belongs to the mapping.
 */

/** Why {@linkcode OutsideSockets.open} gave no socket. */
export const OpenFailure = {
  /** The port or identifier is taken by another program. */
  InUse: -1,
  /** The system forbids it (a port below 1024, no echo sockets for this user). */
  NotPermitted: -2,
  /** No descriptors, no memory. */
  OutOfResources: -3,
} as const;

/** Opens, names and gives up outside sockets. Used by the open worker alone. */
export interface OutsideSockets {
  /**
   * Opens a socket for a mapping and makes the seal worker listen to it.
   * @param protocol 17 UDP, 1 ICMP echo, 58 ICMPv6 echo.
   * @param family 4 or 6.
   * @param port the external UDP port or echo identifier to take, never 0.
   * @param row the NAT row that the socket will serve. It is published after
   *   this call returns; what arrives before that finds no mapping.
   * @returns a handle >= 0 (a shared raw echo socket may give the same handle
   *   again and again), or an {@linkcode OpenFailure}.
   */
  open(protocol: number, family: 4 | 6, port: number, row: number): number;
  /**
   * The external port or identifier that the socket has; 0 where the handle
   * does not tell (a shared raw socket) and the one asked for holds.
   */
  port(handle: number): number;
  /**
   * Gives the socket of a row up: the seal worker takes it out of its poll set,
   * closes it (a shared raw socket stays) and calls `NatTable.markFree(row)`.
   */
  retire(row: number, handle: number): void;
}
