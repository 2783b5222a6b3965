/**
 * Sockets of a relay: TCP with few calls a byte and no promise between them,
 * and the UDP sockets of proxy associations. All are non-blocking.
 *
 * Nothing here throws on what a peer or the system does: results are counts or
 * descriptors, or a negative {@linkcode SocketError}. Bytes are taken from and
 * put to the beginning of the view that is given; a view that is used again
 * costs less than a new subarray.
 */
import type { SocketOrigin } from "./dialer.ts";

/** The system's error numbers that users of sockets tell apart; results are negative. */
export const SocketError = {
  NotPermitted: 1,
  Interrupted: 4,
  WouldBlock: 11,
  OutOfMemory: 12,
  AccessDenied: 13,
  NoDevice: 19,
  Invalid: 22,
  TooManyFiles: 24,
  TooManyFilesInSystem: 23,
  BrokenPipe: 32,
  MessageTooLong: 90,
  FamilyNotSupported: 97,
  AddressInUse: 98,
  AddressNotAvailable: 99,
  NetworkDown: 100,
  NetworkUnreachable: 101,
  ConnectionAborted: 103,
  ConnectionReset: 104,
  NoBuffers: 105,
  NotConnected: 107,
  TimedOut: 110,
  ConnectionRefused: 111,
  HostDown: 112,
  HostUnreachable: 113,
  InProgress: 115,
} as const;

/** Which sockets are opened. */
export interface StreamSocketsOptions {
  /**
   * Whether the last descriptors that the process may have are left to others:
   * those of flows are kept from them, those of control are not.
   */
  readonly reserve?: "kept" | "usable";
}

/** Where a listener or a datagram socket is bound. */
export interface BindAddress {
  /** Four address words; v4-mapped makes an IPv4 socket. */
  readonly words: Int32Array;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** Where a relay listens. */
export interface ListenOptions {
  readonly address: BindAddress;
  /** Connections that the system may hold for `accept`. */
  readonly backlog: number;
  /**
   * Takes only what comes in by this interface. On Windows an address says that
   * already: it takes in what came by its interface.
   */
  readonly interfaceName?: string;
}

/** The sockets of the thread that opened this. */
export interface StreamSockets {
  /**
   * Listens on an address of one family; what is accepted has `noDelay` set.
   * @returns the listener, or a negative error
   */
  listen(options: ListenOptions): number;
  /**
   * Takes a connection; its other end is in `peer` and `peerPort` then.
   * @returns its descriptor, or a negative error: WouldBlock where none waits
   */
  accept(listener: number): number;
  /** Address words of the last `accept` or `receiveFrom`. */
  readonly peer: Int32Array;
  /** The port that goes with {@linkcode peer}. */
  readonly peerPort: number;
  /**
   * Starts a TCP connection.
   * @param words where to, four words; v4-mapped makes an IPv4 socket
   * @returns the descriptor, connected or in progress (it becomes writable when
   * that is decided, then ask {@linkcode connectResult}), or a negative error
   */
  connect(words: Int32Array, port: number, origin?: SocketOrigin): number;
  /** @returns 0 once connected, -InProgress before, else a negative error. */
  connectResult(descriptor: number): number;
  /** @returns bytes; 0 where the other end has finished, or a negative error. */
  receive(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number;
  /** As `receive`, and the bytes stay in the socket. */
  peek(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number;
  /**
   * Throws bytes away that were peeked; cheap where it is TCP.
   * @param bytes scratch of `length` bytes: other kinds of socket write there
   * @returns bytes, or a negative error
   */
  discard(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number;
  /** @returns bytes that the system took, or a negative error; raises no signal. */
  send(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number;
  /** Finishes our direction; the other goes on. @returns 0 or a negative error. */
  shutdownWrite(descriptor: number): number;
  /** The error that waits at a socket: 0, or a negative one. Linux then forgets it. */
  takeError(descriptor: number): number;
  /** Whether a connected socket's other end is this host itself. */
  isToOwnHost(descriptor: number): boolean;
  /** Whether a TCP socket's other end has finished or failed, read to its end or not. */
  peerFinished(descriptor: number): boolean;
  /** Closes; what was sent still goes out. */
  close(descriptor: number): void;
  /** Closes with a RST, where it is TCP; what was not yet sent is lost. */
  reset(descriptor: number): void;
  /**
   * Closes a TCP connection without a word to its other end, where that is
   * permitted (CAP_NET_ADMIN); else with a RST.
   */
  vanish(descriptor: number): void;
  /** Sends small segments at once. @returns 0 or a negative error. */
  noDelay(descriptor: number): number;
  /**
   * Asks for fixed sizes of the system's buffers, in place of those that it
   * adapts itself. @returns 0 or a negative error
   */
  setBuffers(descriptor: number, byteLength: number): number;
  /**
   * Takes more bytes only while fewer than this are not yet sent. Windows takes
   * what it finds right for the connection, whatever is asked for.
   * @returns 0 or a negative error
   */
  setUnsentLimit(descriptor: number, byteLength: number): number;
  /**
   * Asks a silent other end whether it is still there: first after `idle`, then
   * `probes` times, an `interval` apart, both in seconds. Without an answer the
   * connection has timed out. @returns 0 or a negative error
   */
  keepAlive(
    descriptor: number,
    idle: number,
    interval: number,
    probes: number,
  ): number;
  /** @returns a descriptor of no use but to be closed when another is needed, or a negative error. */
  spare(): number;
  /** The port that a socket is bound to; 0 where it has none. */
  localPort(descriptor: number): number;

  /** @returns an unbound UDP socket, or a negative error. */
  openDatagram(family: 4 | 6, origin?: SocketOrigin): number;
  /** @returns 0 or a negative error. */
  bind(descriptor: number, address: BindAddress): number;
  /**
   * Makes a datagram socket speak to one address only, whose errors it then
   * tells. @returns 0 or a negative error
   */
  connectDatagram(descriptor: number, words: Int32Array, port: number): number;
  /**
   * Sends a datagram to an address of the socket's family.
   * @returns bytes or a negative error
   */
  sendTo(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
    words: Int32Array,
    port: number,
  ): number;
  /** Takes a datagram, its source in `peer`. @returns bytes or a negative error. */
  receiveFrom(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number;

  /** What an error means, as the system puts it; takes negative ones too. */
  errorText(error: number): string;
}
