/** Waiting for many sockets: work per wait is in proportion to what happened. */

/** What may happen at a socket: bits. */
export const SocketEvent = {
  /** Bytes, the other end's finish, or a connection to accept. */
  Readable: 0x1,
  /** Urgent data is in the stream. */
  Urgent: 0x2,
  Writable: 0x4,
  /** An error waits at the socket; told whether wanted or not. */
  Error: 0x8,
  /** Both directions are over; told whether wanted or not. */
  HangUp: 0x10,
  /** The other end has finished sending. */
  ReadFinished: 0x2000,
} as const;

/** How often an event is told. */
export const SocketTrigger = {
  /** In each wait, while it holds. */
  Level: 0,
  /**
   * Once when it begins to hold; read or write until WouldBlock, or until a call
   * does less than was asked for.
   */
  Edge: -0x8000_0000,
} as const;

/** A set of descriptors to wait for; the thread that opened it uses it alone. */
export interface SocketEvents extends Disposable {
  /**
   * Adds a descriptor under a key of the caller's own.
   * @param wants bits of {@linkcode SocketEvent}, and a {@linkcode SocketTrigger}
   * @returns 0, or a negative error
   */
  add(descriptor: number, wants: number, key: number): number;
  /** Changes what to wait for and the key; what holds now is told anew. */
  change(descriptor: number, wants: number, key: number): number;
  /** Takes a descriptor out, before it is closed or given away. */
  remove(descriptor: number): number;
  /**
   * Blocks until something happens or the time is over.
   * @param timeoutMs -1 waits without end
   * @returns how many descriptors something is told about
   */
  wait(timeoutMs: number): number;
  /** The key of the i-th of them. */
  key(i: number): number;
  /** What happened there: bits of {@linkcode SocketEvent}. */
  happened(i: number): number;
}
