/**
 * A reusable array of messages for sendmmsg and recvmmsg: the headers, the
 * pieces, the names and the control data lie in one buffer that never moves.
 *
 *     mmsghdr x capacity | iovec x pieces | name 32 x capacity | control x capacity
 *
 * The kernel reads absolute addresses from it, so the class holds on to the
 * arena whose bytes the pieces name. 64-bit fields are written as two words:
 * a BigInt for each packet would be an allocation for each packet.
 */
import {
  cmsghdr,
  iovec,
  mmsghdr,
  msghdr,
} from "../../../../ffi/linux_layouts.ts";
import { writeU16le } from "../../../core/wire/bytes.ts";
import {
  readSocketAddress,
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";

/** Size of a {@linkcode MessageVector}. */
export interface MessageVectorOptions {
  /** The arena that pieces lie in. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Messages. */
  readonly capacity: number;
  /** Pieces of all messages together. */
  readonly pieces: number;
  /** Bytes of control data kept for each message, a multiple of 8. */
  readonly controlRoom: number;
}

/** Bytes that a control message with `length` bytes of data takes (CMSG_SPACE). */
export function controlSpace(length: number): number {
  return cmsghdr.size + ((length + 7) & ~7);
}

// Offsets in words of 32 bits.
const NAME_LENGTH = msghdr.at.msg_namelen >> 2;
const PIECES = msghdr.at.msg_iov >> 2;
const PIECE_COUNT = msghdr.at.msg_iovlen >> 2;
const CONTROL_LENGTH = msghdr.at.msg_controllen >> 2;
const FLAGS = msghdr.at.msg_flags >> 2;
const MESSAGE_LENGTH = mmsghdr.at.msg_len >> 2;
const HEADER_WORDS = mmsghdr.size >> 2;
const PIECE_WORDS = iovec.size >> 2;
const PIECE_LENGTH = iovec.at.iov_len >> 2;
const CONTROL_LEVEL = cmsghdr.at.cmsg_level >> 2;
const CONTROL_TYPE = cmsghdr.at.cmsg_type >> 2;
const TWO_32 = 0x1_0000_0000;

/** Messages with their pieces, names and control data. */
export class MessageVector {
  readonly capacity: number;
  readonly controlRoom: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #words: Uint32Array;
  readonly #arena: Uint8Array<ArrayBuffer>;
  readonly #arenaAddress: number;
  readonly #address: number;
  readonly #piecesAt: number;
  readonly #namesAt: number;
  readonly #controlAt: number;
  readonly #views: Uint8Array<ArrayBuffer>[];

  constructor(options: MessageVectorOptions) {
    const { capacity, pieces, controlRoom } = options;
    this.capacity = capacity;
    this.controlRoom = controlRoom;
    this.#piecesAt = capacity * mmsghdr.size;
    this.#namesAt = this.#piecesAt + pieces * iovec.size;
    this.#controlAt = this.#namesAt + capacity * SOCKET_ADDRESS_ROOM;
    this.#bytes = new Uint8Array(this.#controlAt + capacity * controlRoom);
    this.#words = new Uint32Array(this.#bytes.buffer);
    this.#arena = options.bytes;
    this.#arenaAddress = addressOf(options.bytes);
    this.#address = addressOf(this.#bytes);
    this.#views = [];
    for (let i = 0; i < capacity; i++) {
      const header = i * HEADER_WORDS;
      this.#setAddress(
        header + (msghdr.at.msg_name >> 2),
        this.#address + this.nameAt(i),
      );
      if (controlRoom > 0) {
        this.#setAddress(
          header + (msghdr.at.msg_control >> 2),
          this.#address + this.controlAt(i),
        );
      }
      this.#views.push(this.#bytes.subarray(i * mmsghdr.size));
    }
  }

  /** The buffer; names and control data are read and written here. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /** The arena whose bytes the pieces name. */
  get arena(): Uint8Array<ArrayBuffer> {
    return this.#arena;
  }

  /** The array from message `i` on, as the calls take it. */
  from(i: number): Uint8Array<ArrayBuffer> {
    return this.#views[i];
  }

  /** Where message `i` keeps its name, in {@linkcode bytes}. */
  nameAt(i: number): number {
    return this.#namesAt + i * SOCKET_ADDRESS_ROOM;
  }

  /** Where message `i` keeps its control data, in {@linkcode bytes}. */
  controlAt(i: number): number {
    return this.#controlAt + i * this.controlRoom;
  }

  /** Makes piece `i` the `length` bytes at `at` in the arena. */
  setPiece(i: number, at: number, length: number): void {
    const piece = (this.#piecesAt >> 2) + i * PIECE_WORDS;
    this.#setAddress(piece, this.#arenaAddress + at);
    this.#words[piece + PIECE_LENGTH] = length;
  }

  /** Makes message `i` of `count` pieces from `first` on. */
  setPieces(i: number, first: number, count: number): void {
    const header = i * HEADER_WORDS;
    this.#setAddress(
      header + PIECES,
      this.#address + this.#piecesAt + first * iovec.size,
    );
    this.#words[header + PIECE_COUNT] = count;
  }

  /** Gives message `i` its destination. */
  setDestination(
    i: number,
    family: 4 | 6,
    words: Int32Array,
    word: number,
    port: number,
  ): void {
    this.#words[i * HEADER_WORDS + NAME_LENGTH] = writeSocketAddress(
      this.#bytes,
      this.nameAt(i),
      family,
      words,
      word,
      port,
    );
  }

  /** Says how many bytes of name and of control data message `i` may take or has. */
  setRooms(i: number, nameLength: number, controlLength: number): void {
    const header = i * HEADER_WORDS;
    this.#words[header + NAME_LENGTH] = nameLength;
    this.#words[header + CONTROL_LENGTH] = controlLength;
    this.#words[header + FLAGS] = 0;
  }

  /** Says how many bytes of control data message `i` has. */
  setControlLength(i: number, length: number): void {
    this.#words[i * HEADER_WORDS + CONTROL_LENGTH] = length;
  }

  /**
   * Writes the header of a control message at `at` in {@linkcode bytes}.
   * @returns where its data goes.
   */
  putControl(at: number, level: number, type: number, length: number): number {
    const word = at >> 2;
    this.#words[word] = cmsghdr.size + length;
    this.#words[word + 1] = 0;
    this.#words[word + CONTROL_LEVEL] = level;
    this.#words[word + CONTROL_TYPE] = type;
    return at + cmsghdr.size;
  }

  /** Writes a control message with a 32-bit number. @returns where the next one goes. */
  putControl32(at: number, level: number, type: number, value: number): number {
    const data = this.putControl(at, level, type, 4);
    this.#words[data >> 2] = value;
    return at + controlSpace(4);
  }

  /** Writes a control message with a 16-bit number. @returns where the next one goes. */
  putControl16(at: number, level: number, type: number, value: number): number {
    const data = this.putControl(at, level, type, 2);
    writeU16le(this.#bytes, data, value);
    return at + controlSpace(2);
  }

  /**
   * Finds a control message that came with message `i`.
   * @returns where its data lies in {@linkcode bytes}, or -1.
   */
  findControl(i: number, level: number, type: number): number {
    const words = this.#words;
    let at = this.controlAt(i);
    const end = at + words[i * HEADER_WORDS + CONTROL_LENGTH];
    while (at + cmsghdr.size <= end) {
      const word = at >> 2;
      const length = words[word];
      if (length < cmsghdr.size || at + length > end) return -1;
      if (
        words[word + CONTROL_LEVEL] === level &&
        words[word + CONTROL_TYPE] === type
      ) return at + cmsghdr.size;
      at += (length + 7) & ~7;
    }
    return -1;
  }

  /** The 32-bit number of a control message, or `absent`. */
  control32(i: number, level: number, type: number, absent: number): number {
    const at = this.findControl(i, level, type);
    return at < 0 ? absent : this.#words[at >> 2];
  }

  /** A 32-bit number of the host's byte order at `at`, a multiple of 4. */
  word(at: number): number {
    return this.#words[at >> 2];
  }

  /** Bytes that message `i` moved. */
  length(i: number): number {
    return this.#words[i * HEADER_WORDS + MESSAGE_LENGTH];
  }

  /** Reads where message `i` came from. @returns the port. */
  readSource(i: number, words: Int32Array, word: number): number {
    const at = this.nameAt(i);
    readSocketAddress(this.#bytes, at, words, word);
    return readSocketPort(this.#bytes, at);
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
