/**
 * WireGuard's timers (WireGuard paper, section 6): their lengths, and one
 * deadline for each kind and peer in one queue. No timer is found by walking
 * over peers.
 *
 * Lengths are an argument so that a test can wait less; between two ends that
 * talk to each other they should be the same.
 */
import { DeadlineQueue } from "../columns/deadline_queue.ts";

/** Lengths, all in ms. */
export interface TimerConstants {
  /** An initiator that sends starts a new handshake when its session is this old. */
  readonly rekeyAfterMs: number;
  /** The same for an initiator that only receives. */
  readonly rekeyOnReceiveMs: number;
  /** No session is used when it is this old. */
  readonly rejectAfterMs: number;
  /** A handshake that was not answered is given up after this. */
  readonly attemptMs: number;
  /** An initiation is repeated after this, plus the jitter. */
  readonly retryMs: number;
  /** The most that the jitter adds. */
  readonly jitterMs: number;
  /** Data that was received is answered by a keepalive, if by nothing else, after this. */
  readonly keepaliveMs: number;
  /** Data that was sent and not answered leads to a handshake after this. */
  readonly unansweredMs: number;
  /** Keys are erased this long after the last handshake. */
  readonly eraseMs: number;
  /** How long a cookie, and the secret it is made from, is good. */
  readonly cookieMs: number;
  /** Initiations of one peer closer than this are dropped. */
  readonly floodMs: number;
}

/** The protocol's own lengths. */
export const PROTOCOL_TIMERS: TimerConstants = {
  rekeyAfterMs: 120_000,
  rekeyOnReceiveMs: 165_000,
  rejectAfterMs: 180_000,
  attemptMs: 90_000,
  retryMs: 5_000,
  jitterMs: 333,
  keepaliveMs: 10_000,
  unansweredMs: 15_000,
  eraseMs: 540_000,
  cookieMs: 120_000,
  floodMs: 20,
};

/** What a deadline is for. */
export const TimerKind = {
  /** Send the initiation again, or give up. */
  Retry: 0,
  /** Data was received and nothing sent since. */
  Keepalive: 1,
  /** Data was sent and nothing received since. */
  Unanswered: 2,
  /** The peer wants to hear from us at least this often. */
  PersistentKeepalive: 3,
  /** The current session is old enough for a new handshake. */
  Rekey: 4,
  /** A session has reached its end. */
  Expire: 5,
  /** Erase what is left of the last handshake. */
  Erase: 6,
} as const;

/** One of the values of {@linkcode TimerKind}. */
export type TimerKind = typeof TimerKind[keyof typeof TimerKind];

const KINDS = 7;

/** The deadlines of all peers. */
export class PeerTimers {
  readonly #queue: DeadlineQueue;

  /** @param capacity rows of the peer table. */
  constructor(capacity: number) {
    this.#queue = new DeadlineQueue(capacity * KINDS);
  }

  /** Sets or moves a deadline. */
  set(peer: number, kind: TimerKind, deadline: number): void {
    this.#queue.set(peer * KINDS + kind, deadline);
  }

  /** Takes a deadline away. */
  clear(peer: number, kind: TimerKind): void {
    this.#queue.clear(peer * KINDS + kind);
  }

  /** Takes all deadlines of a peer away. */
  clearAll(peer: number): void {
    for (let kind = 0; kind < KINDS; kind++) {
      this.#queue.clear(peer * KINDS + kind);
    }
  }

  /** True where the deadline is set. */
  isSet(peer: number, kind: TimerKind): boolean {
    return this.#queue.deadline(peer * KINDS + kind) !== Infinity;
  }

  /** The earliest deadline of all, or Infinity. */
  next(): number {
    return this.#queue.next();
  }

  /** Deadlines that are set. */
  get size(): number {
    return this.#queue.size;
  }

  /** Takes out the earliest deadline that is due. */
  popDue(now: number): { peer: number; kind: TimerKind } | undefined {
    const id = this.#queue.popDue(now);
    if (id < 0) return undefined;
    return { peer: Math.floor(id / KINDS), kind: (id % KINDS) as TimerKind };
  }
}
