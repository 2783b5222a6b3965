/**
 * Receiving datagrams one by one, each with its source, and with control data
 * where that is wanted: WSARecvMsg is in no library's table and costs more.
 */
import {
  AF,
  INVALID_SOCKET,
  IPPROTO,
  SIO,
  SOCK,
  type Ws2,
  WSA,
  WSA_FLAGS,
  WSAID_WSARECVMSG,
} from "../../../../ffi/windows/ws2_32.ts";
import { addressOf, MessageBlock } from "./message_block.ts";
import { SOCKET_ADDRESS_ROOM } from "./socket_address.ts";

/** What {@linkcode MessageReceiver.receive} found where it is no datagram. */
export const NotReceived = {
  /** Nothing waits. */
  Nothing: -1,
  /** An error that was reported by this and is over. */
  Error: -2,
} as const;

/** Bytes that no datagram is longer than. */
export const DATAGRAM_BYTES = 65_536;

const RECEIVE_MESSAGE = {
  parameters: ["u32", "buffer", "buffer", "pointer", "pointer"],
  result: "i32",
} as const;
type ReceiveMessage = Deno.UnsafeFnPointer<typeof RECEIVE_MESSAGE>;
const TWO_32 = 0x1_0000_0000;

/** How a receiver works. */
export interface MessageReceiverOptions {
  /** The arena that datagrams go to. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of control data, a multiple of 8; 0 goes without. */
  readonly controlRoom: number;
}

/** See the file header. */
export class MessageReceiver {
  /** The last datagram's source and control data. */
  readonly block: MessageBlock;
  readonly #ws2: Ws2;
  readonly #receiveMessage: ReceiveMessage | undefined;
  readonly #arenaAddress: number;
  readonly #address = new BigUint64Array(1);
  readonly #addressWords = new Uint32Array(this.#address.buffer);
  readonly #number = new Int32Array(1);
  readonly #numberBytes = new Uint8Array(this.#number.buffer);

  constructor(ws2: Ws2, { bytes, controlRoom }: MessageReceiverOptions) {
    this.#ws2 = ws2;
    this.block = new MessageBlock({ bytes, pieces: 1, controlRoom });
    this.block.setPieces(1);
    this.block.endControl(this.block.controlAt);
    this.#arenaAddress = addressOf(bytes);
    this.#receiveMessage = controlRoom > 0
      ? findReceiveMessage(ws2)
      : undefined;
  }

  /**
   * Takes a datagram to `at` in the arena, where `room` bytes are free; a longer
   * one is an error. Never blocks at a socket that doesn't.
   * @returns its length, or one of {@linkcode NotReceived}
   */
  receive(socket: number, at: number, room: number = DATAGRAM_BYTES): number {
    const { call } = this.#ws2;
    if (this.#receiveMessage === undefined) {
      return this.#receiveFrom(socket, at, room);
    }
    this.block.clear();
    this.block.setPiece(0, at, room);
    const failed = this.#receiveMessage.call(
      socket,
      this.block.bytes,
      this.#numberBytes,
      null,
      null,
    );
    return failed === 0 ? this.#number[0] : notReceived(call.WSAGetLastError());
  }

  #receiveFrom(socket: number, at: number, room: number): number {
    const { call } = this.#ws2;
    const address = this.#arenaAddress + at;
    this.#addressWords[0] = address;
    this.#addressWords[1] = address / TWO_32;
    this.#number[0] = SOCKET_ADDRESS_ROOM;
    const length = call.recvfromAt(
      socket,
      this.#address[0],
      room,
      0,
      this.block.name,
      this.#numberBytes,
    );
    return length >= 0 ? length : notReceived(call.WSAGetLastError());
  }
}

function notReceived(code: number): number {
  return code === WSA.EWOULDBLOCK ? NotReceived.Nothing : NotReceived.Error;
}

/** @throws {Error} where the system does not tell where the function is. */
function findReceiveMessage({ call }: Ws2): ReceiveMessage {
  const probe = call.WSASocketW(
    AF.INET,
    SOCK.DGRAM,
    IPPROTO.UDP,
    null,
    0,
    WSA_FLAGS,
  );
  if (probe === INVALID_SOCKET) {
    throw new Error(`no socket (Windows error ${call.WSAGetLastError()})`);
  }
  const found = new BigUint64Array(1);
  const failed = call.WSAIoctl(
    probe,
    SIO.GET_EXTENSION_FUNCTION_POINTER,
    WSAID_WSARECVMSG,
    WSAID_WSARECVMSG.length,
    new Uint8Array(found.buffer),
    found.byteLength,
    new Uint8Array(4),
    null,
    null,
  );
  call.closesocket(probe);
  const pointer = Deno.UnsafePointer.create<typeof RECEIVE_MESSAGE>(found[0]);
  if (failed !== 0 || pointer === null) {
    throw new Error("the system has no WSARecvMsg");
  }
  return new Deno.UnsafeFnPointer(pointer, RECEIVE_MESSAGE);
}
