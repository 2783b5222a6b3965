/**
 * How messages leave that wait for a socket.
 *
 * Neighbours of one group with equal sizes become one train where the system
 * splits them (UDP_SEND_MSG_SIZE). Without trains and control data each goes by
 * sendto, which costs least.
 *
 * The messages' owner writes each train's address and control data. A train that
 * the system refuses leaves message by message, so that each fails for itself;
 * many such failures in a row make it stop trying for a while.
 */
import {
  IPPROTO,
  POLL,
  UDP,
  type Ws2,
  WSA,
} from "../../../../ffi/windows/ws2_32.ts";
import { pollFd } from "../../../../ffi/windows/layouts/ws2_32.ts";
import {
  PAUSED_SENDS,
  TRAIN_BYTES,
  TRAIN_FAILURES,
  TRAIN_MESSAGES,
  type TrainOptions,
} from "../shared/trains.ts";
import type { WaitingMessages } from "../shared/waiting_messages.ts";
import { addressOf, controlSpace, MessageBlock } from "./message_block.ts";
import { socketError } from "./socket_error.ts";

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

/** Joins and sends messages. */
export class MessageTrains {
  readonly #ws2: Ws2;
  readonly #owner: TrainOwner;
  readonly #block: MessageBlock;
  readonly #arenaAddress: number;
  readonly #messages: WaitingMessages;
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

  constructor(ws2: Ws2, owner: TrainOwner, options: TrainOptions) {
    const { bytes } = options;
    this.#ws2 = ws2;
    this.#owner = owner;
    this.#trains = options.trains;
    this.#fullWaitMs = options.fullWaitMs;
    this.#fullWaits = options.fullWaits;
    this.#messages = options.messages;
    this.#arenaAddress = addressOf(bytes);
    this.#block = new MessageBlock({
      bytes,
      pieces: TRAIN_MESSAGES,
      controlRoom: SEGMENT_ROOM + options.controlRoom,
    });
  }

  /** Sends all messages through a socket, and forgets them. */
  send(socket: number): void {
    const { count } = this.#messages;
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
    this.#messages.count = 0;
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
    const { count, length, group } = this.#messages;
    const size = length[first];
    let end = first + 1;
    if (this.#trains === "never" || this.#paused > 0 || size === 0) return end;
    const limit = Math.min(count, first + TRAIN_MESSAGES);
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
        this.#messages.length[first],
      )
      : start;
    const control = this.#owner.writeHead(
      block,
      this.#messages.group[first],
      at,
    );
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
    const address = this.#arenaAddress + this.#messages.at[message];
    this.#addressWords[0] = address;
    this.#addressWords[1] = address / TWO_32;
    return this.#ws2.call.sendtoAt(
      socket,
      this.#address[0],
      this.#messages.length[message],
      0,
      this.#block.name,
      this.#block.nameLength,
    );
  }

  /** Names the messages' bytes; those that lie one behind the other by one piece. */
  #setPieces(first: number, end: number): void {
    const { at: places, length: lengths } = this.#messages;
    let pieces = 0;
    let at = places[first];
    let length = lengths[first];
    for (let message = first + 1; message < end; message++) {
      if (places[message] !== at + length) {
        this.#block.setPiece(pieces++, at, length);
        at = places[message];
        length = 0;
      }
      length += lengths[message];
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
