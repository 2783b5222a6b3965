/**
 * Ways out for UDP: straight, or by a proxy. An association carries the
 * datagrams of one client source to any remote and back, so that the source
 * looks the same to all of them (RFC 4787, REQ-1). Like a dial it is stepped by
 * whoever owns the poll set; nothing here blocks, and nothing that a proxy does
 * is thrown.
 *
 *     const association = carrier.associate(4);
 *     while (association.advance() === "pending") wait for association.control
 *     open:  wait for association.descriptor (datagrams) and
 *            association.control (readable: ask advance() whether it ended)
 *     ended: tell association.failure; association[Symbol.dispose]()
 *
 * Deadlines are the caller's.
 */
import type { DialFailure } from "./dialer.ts";

/** Bytes that lie before what is received: room for the headers of an answer. */
const HEADROOM = 64;
/** The longest header of a proxy's datagram: SOCKS5 with an IPv6 address. */
const PROXY_HEADER = 22;
const LONGEST_DATAGRAM = 65_535;

/**
 * Where datagrams lie on their way through a carrier, one at a time: a payload
 * to send at {@linkcode UDP_PAYLOAD_AT}, a received one behind at least 64
 * bytes that are free.
 */
export class DatagramRoom {
  /** The memory itself. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(
    HEADROOM + PROXY_HEADER + LONGEST_DATAGRAM,
  );
}

/** Where in a {@linkcode DatagramRoom} the payload to send lies. */
export const UDP_PAYLOAD_AT: number = HEADROOM + PROXY_HEADER;
/** Where in a {@linkcode DatagramRoom} a carrier receives. */
export const UDP_RECEIVE_AT: number = HEADROOM;
/** The longest payload that is sent. */
export const UDP_PAYLOAD_LIMIT: number = LONGEST_DATAGRAM - PROXY_HEADER;

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
} as const;

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
  /**
   * Why it ended; undefined before. Sending and receiving may find that out
   * too.
   */
  readonly failure: DialFailure | undefined;
  /**
   * Goes on as far as it can without waiting. May be called at any time, also
   * where nothing happened; a new association is called once before it is
   * waited for.
   */
  advance(): AssociationState;
  /**
   * Sends the payload in the carrier's room to a remote; for open ones. The
   * bytes before it may be overwritten.
   * @param words four address words
   * @returns bytes sent, headers included, or a negative SocketError
   */
  send(length: number, words: Int32Array, port: number): number;
  /**
   * Takes one datagram into the carrier's room; for open ones.
   * @returns bytes of payload, or one of {@linkcode NotReceived}
   */
  receive(into: ReceivedDatagram): number;
  /** Whether a remote is the carrier's own end: what goes there would go round in a circle. */
  leadsTo(words: Int32Array, port: number): boolean;
}

/** A way out for UDP. */
export interface UdpCarrier {
  /** For logs: `direct`, `socks5 192.0.2.1:1080`; without passwords. */
  readonly name: string;
  /** Where its datagrams lie. */
  readonly room: DatagramRoom;
  /**
   * Starts an association; what fails at once is an ended one, nothing is
   * thrown.
   * @param family of the client source, and so of all its remotes
   */
  associate(family: 4 | 6): UdpAssociation;
}
