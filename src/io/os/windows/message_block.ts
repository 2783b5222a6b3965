/**
 * One message for WSASendMsg and WSARecvMsg: header, pieces, address and control
 * data lie in one buffer that never moves.
 *
 *     WSAMSG 56 | unused 8 | WSABUF x pieces | address 32 | control
 *
 * The system reads absolute addresses from it, so the class holds on to the
 * arena whose bytes the pieces name. 64-bit fields are written as two words:
 * a BigInt for each packet would be an allocation for each packet.
 */
import {
  wsaBuf,
  wsaCmsgHdr,
  wsaMsg,
} from "../../../../ffi/windows/layouts/ws2_32.ts";
import {
  readSocketAddress,
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";

/** Bytes that a control message with `length` bytes of data takes (WSA_CMSG_SPACE). */
export function controlSpace(length: number): number {
  return wsaCmsgHdr.size + ((length + 7) & ~7);
}

// Offsets in words of 32 bits.
const NAME = wsaMsg.at.name >> 2;
const NAME_LENGTH = wsaMsg.at.namelen >> 2;
const PIECES = wsaMsg.at.lpBuffers >> 2;
const PIECE_COUNT = wsaMsg.at.dwBufferCount >> 2;
const CONTROL_LENGTH = (wsaMsg.at.Control + wsaBuf.at.len) >> 2;
const CONTROL = (wsaMsg.at.Control + wsaBuf.at.buf) >> 2;
const FLAGS = wsaMsg.at.dwFlags >> 2;
const PIECE_LENGTH = wsaBuf.at.len >> 2;
const PIECE_ADDRESS = wsaBuf.at.buf >> 2;
const CONTROL_LEVEL = wsaCmsgHdr.at.cmsg_level >> 2;
const CONTROL_TYPE = wsaCmsgHdr.at.cmsg_type >> 2;
const PIECES_AT = 64;
const TWO_32 = 0x1_0000_0000;

/** Size of a {@linkcode MessageBlock}. */
export interface MessageBlockOptions {
  /** The arena that pieces lie in. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly pieces: number;
  /** Bytes for control data, a multiple of 8. */
  readonly controlRoom: number;
}

/** See the file header. */
export class MessageBlock {
  /** The buffer, as the calls take it; control data is read and written here. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The part of it that is the address, as other calls take it. */
  readonly name: Uint8Array<ArrayBuffer>;
  /** Where control data begins. */
  readonly controlAt: number;
  /** The arena whose bytes the pieces name. */
  readonly arena: Uint8Array<ArrayBuffer>;
  readonly #words: Uint32Array;
  readonly #nameAt: number;
  readonly #controlRoom: number;
  readonly #arenaAddress: number;

  constructor({ bytes, pieces, controlRoom }: MessageBlockOptions) {
    this.arena = bytes;
    this.#arenaAddress = addressOf(bytes);
    this.#controlRoom = controlRoom;
    this.#nameAt = PIECES_AT + pieces * wsaBuf.size;
    this.controlAt = this.#nameAt + SOCKET_ADDRESS_ROOM;
    this.bytes = new Uint8Array(this.controlAt + controlRoom);
    this.#words = new Uint32Array(this.bytes.buffer);
    this.name = this.bytes.subarray(this.#nameAt, this.controlAt);
    const address = addressOf(this.bytes);
    this.#setAddress(NAME, address + this.#nameAt);
    this.#setAddress(PIECES, address + PIECES_AT);
    this.#setAddress(CONTROL, address + this.controlAt);
  }

  /** Makes piece `i` the `length` bytes at `at` in the arena. */
  setPiece(i: number, at: number, length: number): void {
    const piece = (PIECES_AT + i * wsaBuf.size) >> 2;
    this.#words[piece + PIECE_LENGTH] = length;
    this.#setAddress(piece + PIECE_ADDRESS, this.#arenaAddress + at);
  }

  /** Makes the message of the first `count` pieces. */
  setPieces(count: number): void {
    this.#words[PIECE_COUNT] = count;
  }

  /** Gives the message its destination. */
  setDestination(
    family: 4 | 6,
    words: Int32Array,
    i: number,
    port: number,
  ): void {
    this.#words[NAME_LENGTH] = writeSocketAddress(
      this.bytes,
      this.#nameAt,
      family,
      words,
      i,
      port,
    );
  }

  /** Bytes of the destination. */
  get nameLength(): number {
    return this.#words[NAME_LENGTH];
  }

  /** Makes the message ready to receive; what it told is gone. */
  clear(): void {
    this.#words[NAME_LENGTH] = SOCKET_ADDRESS_ROOM;
    this.#words[CONTROL_LENGTH] = this.#controlRoom;
    this.#words[FLAGS] = 0;
  }

  /** Says where the message's control data ends. */
  endControl(at: number): void {
    this.#words[CONTROL_LENGTH] = at - this.controlAt;
    this.#words[FLAGS] = 0;
  }

  /**
   * Writes the header of a control message at `at` in {@linkcode bytes}.
   * @returns where its data goes.
   */
  putControl(at: number, level: number, type: number, length: number): number {
    const word = at >> 2;
    this.#words[word] = wsaCmsgHdr.size + length;
    this.#words[word + 1] = 0;
    this.#words[word + CONTROL_LEVEL] = level;
    this.#words[word + CONTROL_TYPE] = type;
    return at + wsaCmsgHdr.size;
  }

  /** Writes a control message with a 32-bit number. @returns where the next one goes. */
  putControl32(at: number, level: number, type: number, value: number): number {
    const data = this.putControl(at, level, type, 4);
    this.#words[data >> 2] = value;
    return at + controlSpace(4);
  }

  /** Finds a control message that came. @returns where its data lies, or -1. */
  findControl(level: number, type: number): number {
    const words = this.#words;
    let at = this.controlAt;
    const end = at + words[CONTROL_LENGTH];
    while (at + wsaCmsgHdr.size <= end) {
      const word = at >> 2;
      const length = words[word];
      if (length < wsaCmsgHdr.size || at + length > end) return -1;
      if (
        words[word + CONTROL_LEVEL] === level &&
        words[word + CONTROL_TYPE] === type
      ) return at + wsaCmsgHdr.size;
      at += (length + 7) & ~7;
    }
    return -1;
  }

  /** The 32-bit number of a control message, or `absent`. */
  control32(level: number, type: number, absent: number): number {
    const at = this.findControl(level, type);
    return at < 0 ? absent : this.#words[at >> 2];
  }

  /** Reads where the message came from. @returns the port. */
  readSource(words: Int32Array, i: number): number {
    readSocketAddress(this.bytes, this.#nameAt, words, i);
    return readSocketPort(this.bytes, this.#nameAt);
  }

  #setAddress(word: number, address: number): void {
    this.#words[word] = address; // stored modulo 2^32
    this.#words[word + 1] = Math.floor(address / TWO_32);
  }
}

/** The address of a buffer's first byte; addresses of user space fit a number. */
export function addressOf(bytes: Uint8Array<ArrayBuffer>): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}
