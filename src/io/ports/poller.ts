/** What a pump waits for, and how other threads wake it. */

/** Why a wait ended: bits of {@linkcode Poller.wait}'s result. */
export const Ready = {
  /** The wake descriptor was signalled: look at the shared tables, maybe stop. */
  Wake: 1,
  Tun: 2,
  Tunnel: 4,
  /** At least one outside socket; {@linkcode Poller.outsideRow} names them. */
  Outside: 8,
} as const;

/** Waits for any of a pump's descriptors. */
export interface Poller extends Disposable {
  /**
   * Blocks until something is ready or the time is over.
   * @param timeoutMs -1 waits without end.
   * @returns bits of {@linkcode Ready}; 0 when the time was over.
   */
  wait(timeoutMs: number): number;
  /** How many outside sockets the last wait reported. */
  readonly outsideCount: number;
  /** The NAT row of the i-th of them; -1 for the raw echo sockets. */
  outsideRow(i: number): number;
  /**
   * The socket of the i-th of them, as {@linkcode OutsidePort.receive} takes it.
   * Unlike the NAT row's own column it is right from the moment of `open`.
   */
  outsideHandle(i: number): number;
  /** Whether the i-th has an error waiting (its error queue should be read). */
  outsideError(i: number): boolean;
}

/** A poller for a pump of many tunnels, whose sockets come and go. */
export interface TunnelsPoller extends Poller {
  /**
   * Waits for a tunnel's socket, too.
   * @param tunnel a number of the caller's own
   * @returns whether the system has room for it
   */
  watchTunnel(descriptor: number, tunnel: number): boolean;
  /** Waits for it no more; call it before the descriptor is closed. */
  forgetTunnel(descriptor: number): void;
  /** How many tunnels' sockets the last wait reported. */
  readonly tunnelCount: number;
  /** The number of the i-th of them. */
  tunnel(i: number): number;
}

/** A poll set as the thread that made it holds it. */
export interface OpenedPoller extends Disposable {
  /** Usable from any thread of the process until this is disposed of. */
  readonly descriptor: number;
}

/** What a pump waits for, besides outside sockets, which add themselves. */
export interface PollerAttachment {
  /** The poll set, as {@linkcode openPoller} gave it. */
  readonly descriptor: number;
  /** Descriptor of the pump's wake. */
  readonly wake: number;
  readonly tun?: number;
  readonly tunnel?: number;
}

/** Wakes a worker that blocks in {@linkcode Poller.wait}; usable from any thread. */
export interface Wake extends Disposable {
  readonly descriptor: number;
  /** Wakes the worker, or keeps it from blocking the next time. */
  signal(): void;
  /** Takes all signals back; {@linkcode Poller.wait} does that by itself. */
  drain(): void;
}
