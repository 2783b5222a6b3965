/**
 * Trains: messages that the system takes as one and splits last. Neighbours of
 * one group with equal sizes are one; its last message may be shorter.
 *
 *     message   0    1    2   | 3   | 4    5
 *     train     0             | 1   | 2
 */
import type { WaitingMessages } from "./waiting_messages.ts";

/** Messages of a train: UDP_MAX_SEGMENTS of Linux before 6.9. */
export const TRAIN_MESSAGES = 64;
/** Bytes of a train: one IP datagram, less the headers of either family. */
export const TRAIN_BYTES = 65_000;
/** Trains that may fail in a row before a socket goes without for a while. */
export const TRAIN_FAILURES = 32;
/** How long that is, in sends. */
export const PAUSED_SENDS = 1024;

/** What the messages are and how patient their sender is. */
export interface TrainOptions {
  readonly messages: WaitingMessages;
  /** The arena that messages lie in. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of control data that the owner writes. */
  readonly controlRoom: number;
  /** Whether the system splits trains. */
  readonly trains: "tried" | "never";
  /** How long to wait for a full socket to take more, and how often. */
  readonly fullWaitMs: number;
  readonly fullWaits: number;
}
