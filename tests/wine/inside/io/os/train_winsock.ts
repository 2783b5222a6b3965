/**
 * Winsock with trains of datagrams, which Wine lacks: what is sent as one leaves
 * one by one, what waits from one source is handed over as one. Control data is
 * read and written where the real one has it.
 */
import {
  wsaBuf,
  wsaCmsgHdr,
  wsaMsg,
} from "../../../../../ffi/windows/layouts/ws2_32.ts";
import {
  IP,
  IPPROTO,
  IPV6,
  MSG,
  SIO,
  UDP,
  type Ws2,
  WSA,
} from "../../../../../ffi/windows/ws2_32.ts";

const FAILED = -1;

/** What a call of WSASendMsg was. */
export interface SentMessage {
  /** Bytes of each datagram; 0 where it was no train. */
  readonly segment: number;
  readonly datagrams: number;
  /** The source in PKTINFO as hexadecimal digits; undefined without. */
  readonly source: string | undefined;
}

/** See the file header. */
export class TrainWinsock implements Disposable {
  /** The library as our sockets get it. */
  readonly ws2: Ws2;
  readonly sent: SentMessage[] = [];
  /** How many datagrams each WSARecvMsg gave. */
  readonly received: number[] = [];
  /** Refuses the next trains with this code. */
  refusal: { code: number; times: number } | undefined;
  /** Datagrams that are handed over as one. */
  most = 64;
  readonly #real: Ws2;
  /** `silent`: trains are handed over as some drivers do, without a word. */
  told: "told" | "silent" = "told";
  /** Sockets that were asked to hand over no trains. */
  readonly plain = new Set<number>();
  #error = 0;
  readonly #receive;

  constructor(real: Ws2) {
    this.#real = real;
    this.#receive = new Deno.UnsafeCallback(
      {
        parameters: ["u32", "pointer", "pointer", "pointer", "pointer"],
        result: "i32",
      },
      (socket, message, count) => this.#receiveMessage(socket, message, count),
    );
    this.ws2 = {
      ...real,
      call: {
        ...real.call,
        WSAGetLastError: () => this.#takeError(),
        getsockopt: (socket, level, name, value, length) => {
          if (level !== IPPROTO.UDP) {
            return real.call.getsockopt(socket, level, name, value, length);
          }
          const bytes = value as Uint8Array;
          new DataView(bytes.buffer, bytes.byteOffset).setInt32(
            0,
            name === UDP.SEND_MSG_SIZE ? 0 : 65_535,
            true,
          );
          return 0;
        },
        setsockopt: (socket, level, name, value, length) => {
          if (level !== IPPROTO.UDP) {
            return real.call.setsockopt(socket, level, name, value, length);
          }
          const bytes = value as Uint8Array;
          const size = new DataView(bytes.buffer, bytes.byteOffset);
          if (size.getInt32(0, true) === 0) this.plain.add(socket);
          else this.plain.delete(socket);
          return 0;
        },
        WSAIoctl: (...parameters) => {
          if (parameters[1] !== SIO.GET_EXTENSION_FUNCTION_POINTER) {
            return real.call.WSAIoctl(...parameters);
          }
          const out = parameters[4] as Uint8Array;
          new DataView(out.buffer, out.byteOffset).setBigUint64(
            0,
            Deno.UnsafePointer.value(this.#receive.pointer),
            true,
          );
          return 0;
        },
        WSASendMsg: (socket, message) =>
          this.#sendMessage(socket, message as Uint8Array<ArrayBuffer>),
      },
    };
  }

  [Symbol.dispose](): void {
    this.#receive.close();
  }

  #takeError(): number {
    const error = this.#error || this.#real.call.WSAGetLastError();
    this.#error = 0;
    return error;
  }

  #fail(code: number): number {
    this.#error = code;
    return FAILED;
  }

  #sendMessage(socket: number, message: Uint8Array<ArrayBuffer>): number {
    const view = new DataView(message.buffer, message.byteOffset);
    const count = view.getUint32(wsaMsg.at.dwBufferCount, true);
    const pieces = memory(
      view.getBigUint64(wsaMsg.at.lpBuffers, true),
      count * wsaBuf.size,
    );
    const bytes: number[] = [];
    for (let i = 0; i < count; i++) {
      const piece = new DataView(pieces.buffer).byteOffset + i * wsaBuf.size;
      const data = new DataView(pieces.buffer);
      bytes.push(...memory(
        data.getBigUint64(piece + wsaBuf.at.buf, true),
        data.getUint32(piece + wsaBuf.at.len, true),
      ));
    }
    const control = readControl(view);
    const size = control.get(key(IPPROTO.UDP, UDP.SEND_MSG_SIZE));
    const segment = size === undefined ? 0 : new DataView(size.buffer)
      .getUint32(0, true);
    const source = control.get(key(IPPROTO.IP, IP.PKTINFO)) ??
      control.get(key(IPPROTO.IPV6, IPV6.PKTINFO));
    if (segment > 0 && this.refusal !== undefined && this.refusal.times > 0) {
      this.refusal.times--;
      return this.#fail(this.refusal.code);
    }
    const step = segment || bytes.length;
    const datagrams = Math.max(1, Math.ceil(bytes.length / step));
    this.sent.push({ segment, datagrams, source: source?.toHex() });
    const nameLength = view.getInt32(wsaMsg.at.namelen, true);
    const name = memory(view.getBigUint64(wsaMsg.at.name, true), nameLength);
    for (let at = 0; at < bytes.length; at += step) {
      const datagram = Uint8Array.from(bytes.slice(at, at + step));
      const { length } = datagram;
      const result = this.#real.call
        .sendto(socket, datagram, length, 0, name, nameLength);
      if (result < 0) return FAILED;
    }
    return 0;
  }

  #receiveMessage(
    socket: number,
    message: Deno.PointerValue,
    count: Deno.PointerValue,
  ): number {
    const header = memory(Deno.UnsafePointer.value(message), wsaMsg.size);
    const view = new DataView(header.buffer);
    const name = memory(
      view.getBigUint64(wsaMsg.at.name, true),
      view.getInt32(wsaMsg.at.namelen, true),
    );
    const pieces = memory(
      view.getBigUint64(wsaMsg.at.lpBuffers, true),
      wsaBuf.size,
    );
    const piece = new DataView(pieces.buffer);
    const bytes = memory(
      piece.getBigUint64(wsaBuf.at.buf, true),
      piece.getUint32(wsaBuf.at.len, true),
    );
    let at = 0;
    let datagrams = 0;
    let segment = 0;
    let from = "";
    for (;;) {
      const next = this.#peek(socket);
      if (next === undefined) break;
      const isFirst = datagrams === 0;
      if (
        !isFirst &&
        (next.from !== from || next.length > segment ||
          datagrams === this.most ||
          next.length === 0 || this.plain.has(socket) ||
          at + next.length > 60_000)
      ) break;
      if (isFirst) [from, segment] = [next.from, next.length];
      this.#take(socket, bytes.subarray(at), name);
      at += next.length;
      datagrams++;
      if (next.length < segment) break;
    }
    if (datagrams === 0) return this.#fail(WSA.EWOULDBLOCK);
    this.received.push(datagrams);
    new DataView(memory(Deno.UnsafePointer.value(count), 4).buffer)
      .setUint32(0, at, true);
    writeControl(view, datagrams > 1 && this.told === "told" ? segment : 0);
    return 0;
  }

  #peek(socket: number): { length: number; from: string } | undefined {
    const bytes = new Uint8Array(65_536);
    const name = new Uint8Array(32);
    const length = new Uint8Array(new Int32Array([32]).buffer);
    const got = this.#real.call
      .recvfrom(socket, bytes, bytes.length, MSG.PEEK, name, length);
    return got < 0 ? undefined : { length: got, from: name.toHex() };
  }

  #take(socket: number, to: Uint8Array<ArrayBuffer>, name: Uint8Array): void {
    const bytes = new Uint8Array(65_536);
    const own = new Uint8Array(32);
    const length = new Uint8Array(new Int32Array([32]).buffer);
    const got = this.#real.call
      .recvfrom(socket, bytes, bytes.length, 0, own, length);
    to.set(bytes.subarray(0, got));
    name.set(own.subarray(0, name.length));
  }
}

function memory(address: bigint, length: number): Uint8Array<ArrayBuffer> {
  const pointer = Deno.UnsafePointer.create(address);
  if (pointer === null || length === 0) return new Uint8Array();
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, length));
}

function key(level: number, type: number): string {
  return `${level} ${type}`;
}

/** The control messages of a message, by level and type. */
function readControl(view: DataView): Map<string, Uint8Array<ArrayBuffer>> {
  const length = view.getUint32(wsaMsg.at.Control + wsaBuf.at.len, true);
  const found = new Map<string, Uint8Array<ArrayBuffer>>();
  if (length === 0) return found;
  const address = view.getBigUint64(wsaMsg.at.Control + wsaBuf.at.buf, true);
  const bytes = memory(address, length);
  const control = new DataView(bytes.buffer);
  for (let at = 0; at + wsaCmsgHdr.size <= length;) {
    const own = control.getUint32(at + wsaCmsgHdr.at.cmsg_len, true);
    const level = control.getInt32(at + wsaCmsgHdr.at.cmsg_level, true);
    const type = control.getInt32(at + wsaCmsgHdr.at.cmsg_type, true);
    found.set(key(level, type), bytes.slice(at + wsaCmsgHdr.size, at + own));
    at += (own + 7) & ~7;
  }
  return found;
}

/** Tells the size of a train's datagrams, where it is one. */
function writeControl(view: DataView, segment: number): void {
  const lengthAt = wsaMsg.at.Control + wsaBuf.at.len;
  const room = view.getUint32(lengthAt, true);
  if (segment === 0) return view.setUint32(lengthAt, 0, true);
  const address = view.getBigUint64(wsaMsg.at.Control + wsaBuf.at.buf, true);
  const control = new DataView(memory(address, room).buffer);
  const length = wsaCmsgHdr.size + 4;
  control.setUint32(wsaCmsgHdr.at.cmsg_len, length, true);
  control.setUint32(wsaCmsgHdr.at.cmsg_len + 4, 0, true);
  control.setInt32(wsaCmsgHdr.at.cmsg_level, IPPROTO.UDP, true);
  control.setInt32(wsaCmsgHdr.at.cmsg_type, UDP.COALESCED_INFO, true);
  control.setUint32(wsaCmsgHdr.size, segment, true);
  view.setUint32(lengthAt, (length + 7) & ~7, true);
}
