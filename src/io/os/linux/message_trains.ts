/**
 * How messages leave that wait for a socket.
 *
 * Neighbours of one group with equal sizes become one train (UDP_SEGMENT,
 * «GSO»: the kernel takes them through its layers once and splits them last).
 * All trains go out by one sendmmsg.
 *
 *     message   0    1    2   | 3   | 4    5       see WaitingMessages
 *     train     0             | 1   | 2            one mmsghdr; end[0] = 3
 *
 * The messages' owner writes each train's name and control data. Where the
 * kernel or the device cannot split (EIO), it goes on without trains for good. A
 * train that fails in another way leaves message by message, so that each fails
 * for itself or is fragmented by the kernel; many such failures in a row (a path
 * whose MTU is too small for trains) make it stop trying for a while.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { pollfd } from "../../../../ffi/linux_layouts.ts";
import {
  ERRNO,
  IPPROTO,
  MSG,
  POLL,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import {
  PAUSED_SENDS,
  TRAIN_BYTES,
  TRAIN_FAILURES,
  TRAIN_MESSAGES,
  type TrainOptions,
} from "../shared/trains.ts";
import type { WaitingMessages } from "../shared/waiting_messages.ts";
import { controlSpace, MessageVector } from "./message_vector.ts";

/** Control data of a train's size. */
const SEGMENT_ROOM = controlSpace(2);

/** Whose messages they are. */
export interface TrainOwner {
  /**
   * Gives a train of the vector its destination, and its control data from `at`
   * on. @returns where the control data ends.
   */
  writeHead(
    vector: MessageVector,
    train: number,
    group: number,
    at: number,
  ): number;
  /**
   * The first message of a train failed. @returns whether the owner changed
   * something and wants it tried again.
   */
  relieve?(message: number, errno: number): boolean;
  /** A message could not be sent. */
  failed(message: number, errno: number): void;
}

/** Joins and sends messages. */
export class MessageTrains {
  readonly #libc: Libc;
  readonly #owner: TrainOwner;
  readonly #vector: MessageVector;
  readonly #messages: WaitingMessages;
  /** Per train, the message after its last one. */
  readonly #end: Int32Array;
  readonly #poll = new Int32Array(pollfd.size >> 2);
  readonly #pollBytes = new Uint8Array(this.#poll.buffer);
  readonly #fullWaitMs: number;
  readonly #fullWaits: number;
  #trains: "tried" | "never";
  #trainFailures = 0;
  /** Sends left without trains. */
  #paused = 0;

  constructor(libc: Libc, owner: TrainOwner, options: TrainOptions) {
    const { capacity } = options.messages;
    this.#libc = libc;
    this.#owner = owner;
    this.#trains = options.trains;
    this.#fullWaitMs = options.fullWaitMs;
    this.#fullWaits = options.fullWaits;
    this.#messages = options.messages;
    this.#end = new Int32Array(capacity);
    this.#vector = new MessageVector({
      bytes: options.bytes,
      capacity,
      pieces: capacity,
      controlRoom: SEGMENT_ROOM + options.controlRoom,
    });
  }

  /** Sends all messages through a socket, and forgets them. */
  send(descriptor: number): void {
    const { count } = this.#messages;
    const end = this.#end;
    if (this.#paused > 0) this.#paused--;
    let trains = this.#build(0, 0);
    let train = 0;
    let message = 0;
    let waits = 0;
    let retried = -1;
    while (message < count) {
      const sent = this.#libc.call.sendmmsg(
        descriptor,
        this.#vector.from(train),
        trains - train,
        MSG.DONTWAIT,
      );
      if (sent > 0) {
        train += sent;
        if (end[train - 1] - message > sent) this.#trainFailures = 0;
        message = end[train - 1];
        continue;
      }
      const errno = this.#libc.errno();
      if (errno === ERRNO.EINTR) continue;
      const full = errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS;
      if (full && waits < this.#fullWaits) {
        waits++;
        this.#waitForRoom(descriptor);
      } else if (errno === ERRNO.EAGAIN) {
        for (; message < count; message++) this.#owner.failed(message, errno);
      } else if (this.#cannotTrain(errno, end[train] - message)) {
        trains = this.#build(message, end[train]);
        train = 0;
      } else if (this.#owner.relieve?.(message, errno)) {
        trains = this.#build(message, 0);
        train = 0;
      } else if (retried !== message) {
        // The error may belong to an earlier message (ICMP): this one was not tried.
        retried = message;
      } else if (end[train] - message > 1) {
        trains = this.#build(message, end[train]);
        train = 0;
      } else {
        this.#owner.failed(message, errno);
        message++;
        train++;
      }
    }
    this.#messages.count = 0;
  }

  /** @returns whether a train failed for being one: it goes by single messages. */
  #cannotTrain(errno: number, messages: number): boolean {
    if (messages < 2) return false;
    if (errno === ERRNO.EIO) {
      this.#trains = "never";
      return true;
    }
    if (errno !== ERRNO.EINVAL && errno !== ERRNO.EMSGSIZE) return false;
    if (++this.#trainFailures === TRAIN_FAILURES) {
      this.#trainFailures = 0;
      this.#paused = PAUSED_SENDS;
    }
    return true;
  }

  /**
   * Makes trains of the messages from `first` on; those before `singles` go
   * alone. @returns how many there are.
   */
  #build(first: number, singles: number): number {
    const { count, group, length, at } = this.#messages;
    const vector = this.#vector;
    const joins = this.#trains === "tried" && this.#paused === 0;
    let train = 0;
    let piece = 0;
    let message = first;
    while (message < count) {
      const size = length[message];
      const own = group[message];
      const firstPiece = piece;
      let pieceAt = at[message];
      let pieceLength = size;
      let total = size;
      let end = message + 1;
      if (joins && message >= singles && size > 0) {
        const limit = Math.min(count, message + TRAIN_MESSAGES);
        let next = size;
        while (end < limit && next === size && group[end] === own) {
          next = length[end];
          total += next;
          if (next > size || next === 0 || total > TRAIN_BYTES) break;
          if (at[end] === pieceAt + pieceLength) {
            pieceLength += next;
          } else {
            vector.setPiece(piece++, pieceAt, pieceLength);
            pieceAt = at[end];
            pieceLength = next;
          }
          end++;
        }
      }
      vector.setPiece(piece++, pieceAt, pieceLength);
      vector.setPieces(train, firstPiece, piece - firstPiece);
      this.#writeHead(train, own, end - message > 1 ? size : 0);
      this.#end[train++] = end;
      message = end;
    }
    return train;
  }

  /** @param size of a train's messages; 0 where it is a single one. */
  #writeHead(train: number, group: number, size: number): void {
    const vector = this.#vector;
    const start = vector.controlAt(train);
    const at = size > 0
      ? vector.putControl16(start, IPPROTO.UDP, UDP.SEGMENT, size)
      : start;
    const end = this.#owner.writeHead(vector, train, group, at);
    vector.setControlLength(train, end - start);
  }

  #waitForRoom(descriptor: number): void {
    this.#poll[0] = descriptor;
    this.#poll[1] = POLL.OUT;
    this.#libc.call.poll(this.#pollBytes, 1, this.#fullWaitMs);
  }
}
