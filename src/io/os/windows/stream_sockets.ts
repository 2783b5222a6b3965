/**
 * A relay's sockets on Windows. Source: Winsock 2.
 *
 * What is different from Linux, and that nothing can be done about: bytes that a
 * RST follows at once are lost; a connection can't vanish without a RST; nothing
 * bounds what waits unsent but the system's own measure of the connection.
 */
import { HANDLE_FLAG_INHERIT } from "../../../../ffi/windows/kernel32.ts";
import { linger } from "../../../../ffi/windows/layouts/ws2_32.ts";
import {
  INVALID_SOCKET,
  IPPROTO,
  MSG,
  SD,
  SO,
  SOCK,
  SOL_SOCKET,
  TCP,
  WSA,
} from "../../../../ffi/windows/ws2_32.ts";
import { equalWords } from "../../../core/wire/address.ts";
import type { SocketOrigin } from "../../ports/dialer.ts";
import {
  type BindAddress,
  type ListenOptions,
  SocketError,
  type StreamSockets,
} from "../../ports/stream_sockets.ts";
import { errorText } from "./error_text.ts";
import {
  readSocketAddress,
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";
import { socketError } from "./socket_error.ts";
import type { SocketLibraries } from "./socket_libraries.ts";
import { familyOf, SocketOpener } from "./socket_opener.ts";
import { SocketState } from "./socket_state.ts";
import type { SocketReadiness } from "./socket_readiness.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** Opens the sockets for the calling thread. */
export function openStreamSockets(
  libraries: SocketLibraries,
  readiness: SocketReadiness,
): StreamSockets {
  return new WindowsStreamSockets(libraries, readiness);
}

class WindowsStreamSockets implements StreamSockets {
  readonly peer = new Int32Array(4);
  peerPort = 0;
  readonly #call: SocketLibraries["ws2"]["call"];
  readonly #kernel32: SocketLibraries["kernel32"]["call"];
  readonly #readiness: SocketReadiness;
  readonly #options: WinsockOptions;
  readonly #opener: SocketOpener;
  readonly #state: SocketState;
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  readonly #room = new Int32Array(1);
  readonly #roomBytes = new Uint8Array(this.#room.buffer);
  readonly #own = new Int32Array(4);
  readonly #other = new Int32Array(4);
  readonly #byte = new Uint8Array(1);
  readonly #resetOnClose = lingerForNoTime();
  /** The last peek that left a socket's room unfilled: whose, and its bytes. */
  #peeked = -1;
  #peekedBytes = 0;

  constructor(libraries: SocketLibraries, readiness: SocketReadiness) {
    this.#call = libraries.ws2.call;
    this.#kernel32 = libraries.kernel32.call;
    this.#readiness = readiness;
    this.#options = new WinsockOptions(libraries.ws2);
    this.#opener = new SocketOpener(libraries.ws2);
    this.#state = new SocketState(libraries.ws2);
  }

  /** An interface's address takes in what came by that interface alone: its name says no more. */
  listen({ address, backlog }: ListenOptions): number {
    return this.#opener.openListener(address, backlog);
  }

  accept(listener: number): number {
    this.#room[0] = SOCKET_ADDRESS_ROOM;
    const socket = this.#call.accept(listener, this.#address, this.#roomBytes);
    if (socket === INVALID_SOCKET) {
      const error = this.#error();
      if (error === -SocketError.WouldBlock) this.#readiness.emptied(listener);
      return error;
    }
    // It does not wait, as the listener does not; what else it has from it is not written down.
    this.noDelay(socket);
    this.#kernel32.SetHandleInformation(socket, HANDLE_FLAG_INHERIT, 0);
    this.#readPeer();
    return socket;
  }

  connect(words: Int32Array, port: number, origin?: SocketOrigin): number {
    return this.#opener.openConnection(words, port, origin);
  }

  connectResult(descriptor: number): number {
    const error = this.#options.get(descriptor, SOL_SOCKET, SO.ERROR);
    if (error > 0) return -socketError(error);
    if (error < 0) return error;
    const connected = this.#peerOf(descriptor);
    return connected === -SocketError.NotConnected
      ? -SocketError.InProgress
      : connected;
  }

  receive(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number {
    const count = this.#call.recv(descriptor, bytes, length, 0);
    if (count < 0) return this.#receiveError(descriptor, length);
    if (count < length) this.#readiness.emptied(descriptor);
    return count;
  }

  peek(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number {
    const count = this.#call.recv(descriptor, bytes, length, MSG.PEEK);
    if (count < 0) return this.#receiveError(descriptor, length);
    this.#peeked = count < length ? descriptor : -1;
    this.#peekedBytes = count;
    return count;
  }

  discard(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number {
    const count = this.#call.recv(descriptor, bytes, length, 0);
    if (count < 0) return this.#receiveError(descriptor, length);
    if (this.#peeked === descriptor && this.#peekedBytes === count) {
      this.#readiness.emptied(descriptor);
    }
    return count;
  }

  send(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number {
    const count = this.#call.send(descriptor, bytes, length, 0);
    return count === length ? count : this.#sentLess(descriptor, count);
  }

  shutdownWrite(descriptor: number): number {
    return this.#result(this.#call.shutdown(descriptor, SD.SEND));
  }

  takeError(descriptor: number): number {
    const error = this.#options.get(descriptor, SOL_SOCKET, SO.ERROR);
    if (error !== 0) return error < 0 ? error : -socketError(error);
    // A reset is told by calls that move bytes.
    const count = this.#call.recv(descriptor, this.#byte, 1, MSG.PEEK);
    if (count >= 0) return 0;
    const failed = this.#error();
    return failed === -SocketError.WouldBlock ||
        failed === -SocketError.NotConnected ||
        failed === -SocketError.MessageTooLong
      ? 0
      : failed;
  }

  isToOwnHost(descriptor: number): boolean {
    this.#room[0] = SOCKET_ADDRESS_ROOM;
    const address = this.#address;
    if (this.#call.getsockname(descriptor, address, this.#roomBytes) !== 0) {
      return false;
    }
    readSocketAddress(address, 0, this.#own, 0);
    if (this.#peerOf(descriptor) !== 0) return false;
    readSocketAddress(address, 0, this.#other, 0);
    // The host speaks to one address of its own from another one, too.
    return equalWords(this.#own, 0, this.#other, 0) ||
      this.#opener.isOwn(this.#other);
  }

  peerFinished(descriptor: number): boolean {
    return this.#state.peerFinished(descriptor);
  }

  close(descriptor: number): void {
    this.#readiness.closing(descriptor);
    this.#call.closesocket(descriptor);
  }

  reset(descriptor: number): void {
    this.#call.setsockopt(
      descriptor,
      SOL_SOCKET,
      SO.LINGER,
      this.#resetOnClose,
      linger.size,
    );
    this.close(descriptor);
  }

  vanish(descriptor: number): void {
    this.reset(descriptor);
  }

  noDelay(descriptor: number): number {
    return this.#options.set(descriptor, IPPROTO.TCP, TCP.NODELAY, 1);
  }

  setBuffers(descriptor: number, byteLength: number): number {
    return this.#options.set(descriptor, SOL_SOCKET, SO.RCVBUF, byteLength) ||
      this.#options.set(descriptor, SOL_SOCKET, SO.SNDBUF, byteLength);
  }

  /**
   * The system takes one write more than it wants to have for the connection's
   * speed and distance. A size of our own would end that measuring.
   */
  setUnsentLimit(): number {
    return 0;
  }

  keepAlive(
    descriptor: number,
    idle: number,
    interval: number,
    probes: number,
  ): number {
    const options = this.#options;
    return options.set(descriptor, IPPROTO.TCP, TCP.KEEPALIVE, idle) ||
      options.set(descriptor, IPPROTO.TCP, TCP.KEEPINTVL, interval) ||
      options.set(descriptor, IPPROTO.TCP, TCP.KEEPCNT, probes) ||
      options.set(descriptor, SOL_SOCKET, SO.KEEPALIVE, 1);
  }

  spare(): number {
    return this.#opener.open(4, SOCK.DGRAM);
  }

  localPort(descriptor: number): number {
    this.#room[0] = SOCKET_ADDRESS_ROOM;
    const result = this.#call.getsockname(
      descriptor,
      this.#address,
      this.#roomBytes,
    );
    return result === 0 ? readSocketPort(this.#address, 0) : 0;
  }

  openDatagram(family: 4 | 6, origin?: SocketOrigin): number {
    return this.#opener.open(family, SOCK.DGRAM, origin);
  }

  bind(descriptor: number, address: BindAddress): number {
    return this.#opener.bind(descriptor, address);
  }

  connectDatagram(descriptor: number, words: Int32Array, port: number): number {
    this.#opener.tellRefusals(descriptor, 1);
    return this.#opener.connect(descriptor, words, port);
  }

  sendTo(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
    words: Int32Array,
    port: number,
  ): number {
    const addressLength = writeSocketAddress(
      this.#address,
      0,
      familyOf(words),
      words,
      0,
      port,
    );
    const count = this.#call.sendto(
      descriptor,
      bytes,
      length,
      0,
      this.#address,
      addressLength,
    );
    return count === length ? count : this.#sentLess(descriptor, count);
  }

  receiveFrom(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number {
    this.#room[0] = SOCKET_ADDRESS_ROOM;
    const count = this.#call.recvfrom(
      descriptor,
      bytes,
      length,
      0,
      this.#address,
      this.#roomBytes,
    );
    const received = count < 0 ? this.#receiveError(descriptor, length) : count;
    if (received >= 0) this.#readPeer();
    return received;
  }

  errorText(error: number): string {
    return errorText(error);
  }

  /** Writes the peer's address to the scratch memory. @returns 0 or a negative error */
  #peerOf(descriptor: number): number {
    this.#room[0] = SOCKET_ADDRESS_ROOM;
    return this.#result(
      this.#call.getpeername(descriptor, this.#address, this.#roomBytes),
    );
  }

  /** What a read gives that gave no count. */
  #receiveError(descriptor: number, length: number): number {
    const code = this.#call.WSAGetLastError();
    if (code === WSA.EWOULDBLOCK) this.#readiness.emptied(descriptor);
    // The room is full; the rest of the datagram is gone.
    if (code === WSA.EMSGSIZE) return length;
    if (code === WSA.ECONNRESET && this.#isDatagram(descriptor)) {
      return -SocketError.ConnectionRefused;
    }
    return -socketError(code);
  }

  #isDatagram(descriptor: number): boolean {
    return this.#options.get(descriptor, SOL_SOCKET, SO.TYPE) === SOCK.DGRAM;
  }

  /** What a write gives that did not take all bytes. */
  #sentLess(descriptor: number, count: number): number {
    const result = count >= 0 ? count : this.#error();
    if (count >= 0 || result === -SocketError.WouldBlock) {
      this.#readiness.filled(descriptor);
    }
    return result;
  }

  #readPeer(): void {
    readSocketAddress(this.#address, 0, this.peer, 0);
    this.peerPort = readSocketPort(this.#address, 0);
  }

  #error(): number {
    return -socketError(this.#call.WSAGetLastError());
  }

  #result(result: number): number {
    return result === 0 ? 0 : this.#error();
  }
}

/** What makes closing reset a connection. */
function lingerForNoTime(): Uint8Array<ArrayBuffer> {
  const value = new Uint8Array(linger.size);
  value[linger.at.l_onoff] = 1;
  return value;
}
