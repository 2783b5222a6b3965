/**
 * Messages that wait to leave through a socket, and how they leave.
 *
 * Neighbours of one group with equal sizes become one train where the system
 * splits them (UDP_SEND_MSG_SIZE); its last message may be shorter. Without
 * trains and control data each goes by sendto, which costs least.
 *
 * What a group means (a destination, a hop limit) its owner knows, who writes
 * each train's address and control data. A train that the system refuses leaves
 * message by message, so that each fails for itself; many such failures in a row
 * make it stop trying for a while.
 */
import {
  IPPROTO,
  POLL,
  UDP,
  type Ws2,
  WSA,
} from "../../../../ffi/windows/ws2_32.ts";
import { pollFd } from "../../../../ffi/windows/layouts/ws2_32.ts";
import { addressOf, controlSpace, MessageBlock } from "./message_block.ts";
import { socketError } from "./socket_error.ts";

/** Messages of a train. */
const TRAIN_MESSAGES = 64;
/** Bytes of a train: one IP datagram, less the headers of either family. */
const TRAIN_BYTES = 65_000;
/** Trains that may fail in a row before it goes without for a while. */
const TRAIN_FAILURES = 32;
/** How long that is, in sends. */
const PAUSED_SENDS = 1024;
/** Control data of a train's size. */
const SEGMENT_ROOM = controlSpace(4);
const TWO_32 = 0x1_0000_0000;

/** Whose messages they are. */
export interface TrainOwner {
  /**
   * Gives a train its destination, and its control data from `at` on.
   * @returns where the control data ends.
   */
  writeHead(block: MessageBlock, group: number, at: number): number;
  /**
   * A message failed. @returns whether the owner changed something and wants it
   * tried again.
   */
  relieve?(message: number, error: number): boolean;
  /** A message could not be sent, with a SocketError. */
  failed(message: number, error: number): void;
}

/** What the messages are and how patient the sender is. */
export interface MessageTrainsOptions {
  /** The arena that messages lie in. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Messages that can wait. */
  readonly capacity: number;
  /** Bytes of control data that the owner writes. */
  readonly controlRoom: number;
  /** Whether the system knows trains. */
  readonly trains: "tried" | "never";
  /** How long to wait for a full socket to take more, and how often. */
  readonly fullWaitMs: number;
  readonly fullWaits: number;
}

/** Joins and sends messages. */
export class MessageTrains {
  readonly capacity: number;
  /** Messages that wait. */
  count = 0;
  readonly #ws2: Ws2;
  readonly #owner: TrainOwner;
  readonly #block: MessageBlock;
  readonly #arenaAddress: number;
  readonly #at: Int32Array;
  readonly #length: Int32Array;
  readonly #group: Int32Array;
  readonly #address = new BigUint64Array(1);
  readonly #addressWords = new Uint32Array(this.#address.buffer);
  readonly #sent = new Uint8Array(4);
  readonly #poll = new Uint8Array(pollFd.size);
  readonly #pollView = new DataView(this.#poll.buffer);
  readonly #fullWaitMs: number;
  readonly #fullWaits: number;
  readonly #trains: "tried" | "never";
  #trainFailures = 0;
  /** Sends left without trains. */
  #paused = 0;
  /** Waits for a full socket that this send has left. */
  #waits = 0;

  constructor(ws2: Ws2, owner: TrainOwner, options: MessageTrainsOptions) {
    const { capacity, bytes } = options;
    this.capacity = capacity;
    this.#ws2 = ws2;
    this.#owner = owner;
    this.#trains = options.trains;
    this.#fullWaitMs = options.fullWaitMs;
    this.#fullWaits = options.fullWaits;
    this.#at = new Int32Array(capacity);
    this.#length = new Int32Array(capacity);
    this.#group = new Int32Array(capacity);
    this.#arenaAddress = addressOf(bytes);
    this.#block = new MessageBlock({
      bytes,
      pieces: TRAIN_MESSAGES,
      controlRoom: SEGMENT_ROOM + options.controlRoom,
    });
  }

  /**
   * Adds a message, where there are fewer than `capacity`; its bytes must stay
   * until {@linkcode send}. @returns its number.
   */
  add(at: number, length: number, group: number): number {
    const message = this.count++;
    this.#at[message] = at;
    this.#length[message] = length;
    this.#group[message] = group;
    return message;
  }

  /** Sends all messages through a socket, and forgets them. */
  send(socket: number): void {
    const { count } = this;
    if (this.#paused > 0) this.#paused--;
    this.#waits = this.#fullWaits;
    let singles = 0;
    for (let message = 0; message < count;) {
      const end = message < singles ? message + 1 : this.#trainEnd(message);
      const error = this.#sendTrain(socket, message, end);
      if (error === WSA.EWOULDBLOCK) {
        // Full for as long as we wait: the rest would wait as long.
        for (; message < count; message++) this.#fail(message, error);
      } else if (error === 0) {
        if (end - message > 1) this.#trainFailures = 0;
        message = end;
      } else if (end - message > 1) {
        this.#noteTrainFailure();
        singles = end;
      } else if (!this.#owner.relieve?.(message, socketError(error))) {
        this.#fail(message, error);
        message++;
      }
    }
    this.count = 0;
  }

  #fail(message: number, error: number): void {
    this.#owner.failed(message, socketError(error));
  }

  #noteTrainFailure(): void {
    if (++this.#trainFailures < TRAIN_FAILURES) return;
    this.#trainFailures = 0;
    this.#paused = PAUSED_SENDS;
  }

  /** @returns the message behind the train that begins with this one. */
  #trainEnd(first: number): number {
    const length = this.#length;
    const group = this.#group;
    const size = length[first];
    let end = first + 1;
    if (this.#trains === "never" || this.#paused > 0 || size === 0) return end;
    const limit = Math.min(this.count, first + TRAIN_MESSAGES);
    let total = size;
    let last = size;
    while (
      end < limit && last === size && length[end] <= size && length[end] > 0 &&
      group[end] === group[first] && total + length[end] <= TRAIN_BYTES
    ) {
      last = length[end++];
      total += last;
    }
    return end;
  }

  /** @returns 0 or a code of Winsock. */
  #sendTrain(socket: number, first: number, end: number): number {
    const block = this.#block;
    const start = block.controlAt;
    const at = end - first > 1
      ? block.putControl32(
        start,
        IPPROTO.UDP,
        UDP.SEND_MSG_SIZE,
        this.#length[first],
      )
      : start;
    const control = this.#owner.writeHead(block, this.#group[first], at);
    block.endControl(control);
    const plain = control === start;
    if (!plain) this.#setPieces(first, end);
    for (;;) {
      const failed = plain
        ? this.#sendTo(socket, first)
        : this.#ws2.call.WSASendMsg(
          socket,
          block.bytes,
          0,
          this.#sent,
          null,
          null,
        );
      if (failed >= 0) return 0;
      const error = this.#ws2.call.WSAGetLastError();
      const full = error === WSA.EWOULDBLOCK || error === WSA.ENOBUFS;
      if (!full || this.#waits === 0) return error;
      this.#waits--;
      this.#waitForRoom(socket);
    }
  }

  #sendTo(socket: number, message: number): number {
    const address = this.#arenaAddress + this.#at[message];
    this.#addressWords[0] = address;
    this.#addressWords[1] = address / TWO_32;
    return this.#ws2.call.sendtoAt(
      socket,
      this.#address[0],
      this.#length[message],
      0,
      this.#block.name,
      this.#block.nameLength,
    );
  }

  /** Names the messages' bytes; those that lie one behind the other by one piece. */
  #setPieces(first: number, end: number): void {
    let pieces = 0;
    let at = this.#at[first];
    let length = this.#length[first];
    for (let message = first + 1; message < end; message++) {
      if (this.#at[message] !== at + length) {
        this.#block.setPiece(pieces++, at, length);
        at = this.#at[message];
        length = 0;
      }
      length += this.#length[message];
    }
    this.#block.setPiece(pieces++, at, length);
    this.#block.setPieces(pieces);
  }

  #waitForRoom(socket: number): void {
    this.#pollView.setUint32(pollFd.at.fd, socket, true);
    this.#pollView.setUint32(pollFd.at.events, POLL.WRNORM, true);
    this.#ws2.call.WSAPoll(this.#poll, 1, this.#fullWaitMs);
  }
}
