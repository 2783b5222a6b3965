/**
 * Ways out for UDP: straight, or by a proxy. An association carries the
 * datagrams of one client source to any remote and back, so that the source
 * looks the same to all of them (RFC 4787, REQ-1). Like a dial it is stepped by
 * whoever owns the poll set; nothing here blocks, and nothing that a proxy does
 * is thrown.
 *
 *     const association = carrier.associate();
 *     while (association.advance() === "pending") wait for association.control
 *     open:  wait for association.descriptor (datagrams) and
 *            association.control (readable: ask advance() whether it ended)
 *     ended: tell association.failure; association[Symbol.dispose]()
 *
 * Deadlines are the caller's.
 */
import type { DialFailure } from "./dialer.ts";

/**
 * Bytes before a payload that {@linkcode UdpAssociation.send} may overwrite:
 * the longest header of a SOCKS5 datagram with an address (RFC 1928 section 7).
 * Room before a received payload is the same.
 */
export const UDP_CARRIER_HEADROOM = 22;

/** What {@linkcode UdpAssociation.receive} found where it is no payload. */
export const NotReceived = {
  /** Nothing waits. */
  Nothing: -1,
  /** The system reported an error: an earlier datagram found nobody. */
  Error: -2,
  /** No datagram of the proxy's protocol, or from nobody (port 0). */
  Malformed: -3,
  /** A fragment of the proxy's protocol (FRAG is not 0). */
  Fragment: -4,
  /** From a name instead of an address. */
  Domain: -5,
  /** Longer than the room for it. */
  TooLong: -6,
} as const;

/** One of the values of {@linkcode NotReceived}. */
export type NotReceived = typeof NotReceived[keyof typeof NotReceived];

/** Where a received payload lies and whom it is from; filled again each time. */
export class ReceivedDatagram {
  /** Index of the payload's first byte. */
  payloadAt = 0;
  /** Address words of the remote. */
  readonly words: Int32Array = new Int32Array(4);
  port = 0;
}

/** Where an association stands. */
export type AssociationState = "pending" | "open" | "ended";

/**
 * One client source's way out. Disposing of it closes what it owns, in any
 * state and more than once.
 */
export interface UdpAssociation extends Disposable {
  /**
   * What to wait for while it is pending, and to hear of its end; -1 for
   * nothing. It does not change once `advance` was called.
   */
  readonly control: number;
  /** The event of `control` to wait for; `read` once it is open. */
  readonly wants: "read" | "write";
  /** The socket that datagrams come in by; -1 until it is open. */
  readonly descriptor: number;
  /** Local port of that socket; 0 until it is open. */
  readonly localPort: number;
  /** Why it ended; undefined before. */
  readonly failure: DialFailure | undefined;
  /**
   * Goes on as far as it can without waiting. May be called at any time, also
   * where nothing happened; a new association is called once before it is
   * waited for.
   */
  advance(): AssociationState;
  /**
   * Sends a payload to a remote; for open ones.
   * @param at of the payload; the {@linkcode UDP_CARRIER_HEADROOM} bytes before
   *   it may be overwritten
   * @param words address words at `words[i]`
   * @returns bytes sent, or minus the system's errno
   */
  send(
    bytes: Uint8Array,
    at: number,
    length: number,
    words: Int32Array,
    i: number,
    port: number,
  ): number;
  /**
   * Takes one datagram; for open ones.
   * @param at where it may be put, {@linkcode UDP_CARRIER_HEADROOM} bytes for
   *   headers included
   * @param room bytes from there
   * @returns bytes of payload, or one of {@linkcode NotReceived}
   */
  receive(
    bytes: Uint8Array,
    at: number,
    room: number,
    into: ReceivedDatagram,
  ): number;
  /** Whether a remote is the carrier's own end: what goes there would go round in a circle. */
  leadsTo(words: Int32Array, i: number, port: number): boolean;
}

/** A way out for UDP. */
export interface UdpCarrier {
  /** For logs: `direct`, `socks5 192.0.2.1:1080`; without passwords. */
  readonly name: string;
  /** Starts an association; what fails at once is an ended one, nothing is thrown. */
  associate(): UdpAssociation;
}
