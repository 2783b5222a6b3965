/**
 * A relay's sockets on Linux. Source: tcp(7), udp(7), socket(7), recv(2).
 *
 * `recv` with MSG_TRUNC throws a TCP stream's bytes away without copying them;
 * on other streams it is an ordinary read.
 */
import { cString, type Libc } from "../../../../ffi/libc.ts";
import { linger } from "../../../../ffi/linux_layouts.ts";
import {
  AF,
  ERRNO,
  IP,
  IPPROTO,
  IPV6,
  MSG,
  SHUT,
  SO,
  SOCK,
  SOL,
  TCP,
  TCP_STATE,
} from "../../../../ffi/linux_socket_constants.ts";
import { equalWords, isMappedIpv4 } from "../../../core/wire/address.ts";
import type { SocketOrigin } from "../../ports/dialer.ts";
import type {
  BindAddress,
  ListenOptions,
  StreamSockets,
} from "../../ports/stream_sockets.ts";
import { LocalPorts } from "./local_ports.ts";
import {
  readSocketAddress,
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";
import { SocketOptions } from "./socket_option.ts";

/** Local ports that are tried after the first one. */
const PORT_TRIES = 16;
const ANY_4 = Int32Array.of(0, 0, 0xffff, 0);
const ANY_6 = new Int32Array(4);
const FLAGS = SOCK.NONBLOCK | SOCK.CLOEXEC;

/** Opens the sockets for the calling thread. */
export function openStreamSockets(libc: Libc): StreamSockets {
  return new LinuxStreamSockets(libc);
}

class LinuxStreamSockets implements StreamSockets {
  readonly peer = new Int32Array(4);
  peerPort = 0;
  readonly #libc: Libc;
  readonly #call: Libc["call"];
  readonly #options: SocketOptions;
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  readonly #room = new Uint32Array(1);
  readonly #roomBytes = new Uint8Array(this.#room.buffer);
  readonly #own = new Int32Array(4);
  readonly #other = new Int32Array(4);
  readonly #ports = new LocalPorts();
  readonly #resetOnClose = lingerForNoTime();

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#call = libc.call;
    this.#options = new SocketOptions(libc);
  }

  listen(options: ListenOptions): number {
    const { address, backlog, interfaceName } = options;
    const descriptor = this.#open(familyOf(address.words), SOCK.STREAM, {
      interfaceName,
    });
    if (descriptor < 0) return descriptor;
    this.#options.set(descriptor, SOL.SOCKET, SO.REUSEADDR, 1);
    this.noDelay(descriptor);
    let error = this.bind(descriptor, address);
    if (error === 0) {
      error = this.#result(this.#call.listen(descriptor, backlog));
    }
    return error === 0 ? descriptor : this.#giveUp(descriptor, error);
  }

  accept(listener: number): number {
    this.#room[0] = SOCKET_ADDRESS_ROOM;
    const descriptor = this.#call.accept4(
      listener,
      this.#address,
      this.#roomBytes,
      FLAGS,
    );
    if (descriptor < 0) return -this.#libc.errno();
    this.#readPeer();
    return descriptor;
  }

  connect(words: Int32Array, port: number, origin?: SocketOrigin): number {
    const ports = this.#ports;
    let result = this.#connectFrom(words, port, origin, ports.next());
    for (let left = PORT_TRIES; left > 0 && isPortTaken(result); left--) {
      result = this.#connectFrom(words, port, origin, ports.any());
    }
    return result;
  }

  connectResult(descriptor: number): number {
    const error = this.takeError(descriptor);
    if (error !== 0) return error;
    this.#room[0] = SOCKET_ADDRESS_ROOM;
    const connected = this.#call.getpeername(
      descriptor,
      this.#address,
      this.#roomBytes,
    );
    if (connected === 0) return 0;
    const failed = this.#libc.errno();
    return failed === ERRNO.ENOTCONN ? -ERRNO.EINPROGRESS : -failed;
  }

  receive(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number {
    const count = this.#call.recv(descriptor, bytes, length, 0);
    return count >= 0 ? count : -this.#libc.errno();
  }

  peek(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number {
    const count = this.#call.recv(descriptor, bytes, length, MSG.PEEK);
    return count >= 0 ? count : -this.#libc.errno();
  }

  discard(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number {
    const count = this.#call.recv(
      descriptor,
      bytes,
      length,
      MSG.TRUNC,
    );
    return count >= 0 ? count : -this.#libc.errno();
  }

  send(
    descriptor: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
  ): number {
    const count = this.#call.send(
      descriptor,
      bytes,
      length,
      MSG.NOSIGNAL,
    );
    return count >= 0 ? count : -this.#libc.errno();
  }

  shutdownWrite(descriptor: number): number {
    return this.#result(this.#call.shutdown(descriptor, SHUT.WR));
  }

  takeError(descriptor: number): number {
    const error = this.#options.get(descriptor, SOL.SOCKET, SO.ERROR);
    return error >= 0 ? 0 - error : -this.#libc.errno();
  }

  isToOwnHost(descriptor: number): boolean {
    this.#room[0] = SOCKET_ADDRESS_ROOM;
    const address = this.#address;
    const room = this.#roomBytes;
    if (this.#call.getsockname(descriptor, address, room) !== 0) return false;
    readSocketAddress(address, 0, this.#own, 0);
    this.#room[0] = SOCKET_ADDRESS_ROOM;
    if (this.#call.getpeername(descriptor, address, room) !== 0) return false;
    readSocketAddress(address, 0, this.#other, 0);
    return equalWords(this.#own, 0, this.#other, 0);
  }

  peerFinished(descriptor: number): boolean {
    // The state is the first byte of struct tcp_info.
    const info = this.#options.get(descriptor, IPPROTO.TCP, TCP.INFO);
    const state = info & 0xff;
    return info < 0 ||
      (state !== TCP_STATE.ESTABLISHED && state !== TCP_STATE.FIN_WAIT1 &&
        state !== TCP_STATE.FIN_WAIT2);
  }

  close(descriptor: number): void {
    this.#call.close(descriptor);
  }

  reset(descriptor: number): void {
    this.#call.setsockopt(
      descriptor,
      SOL.SOCKET,
      SO.LINGER,
      this.#resetOnClose,
      linger.size,
    );
    this.#call.close(descriptor);
  }

  noDelay(descriptor: number): number {
    return this.#set(descriptor, IPPROTO.TCP, TCP.NODELAY, 1);
  }

  setBuffers(descriptor: number, byteLength: number): number {
    const error = this.#set(descriptor, SOL.SOCKET, SO.RCVBUF, byteLength);
    return error !== 0
      ? error
      : this.#set(descriptor, SOL.SOCKET, SO.SNDBUF, byteLength);
  }

  setUnsentLimit(descriptor: number, byteLength: number): number {
    return this.#set(descriptor, IPPROTO.TCP, TCP.NOTSENT_LOWAT, byteLength);
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
    return this.#open(family, SOCK.DGRAM, origin);
  }

  bind(descriptor: number, address: BindAddress): number {
    const length = writeSocketAddress(
      this.#address,
      0,
      familyOf(address.words),
      address.words,
      0,
      address.port,
    );
    return this.#result(this.#call.bind(descriptor, this.#address, length));
  }

  connectDatagram(descriptor: number, words: Int32Array, port: number): number {
    return this.#connect(descriptor, familyOf(words), words, port);
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
      MSG.NOSIGNAL,
      this.#address,
      addressLength,
    );
    return count >= 0 ? count : -this.#libc.errno();
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
    if (count < 0) return -this.#libc.errno();
    this.#readPeer();
    return count;
  }

  pair(ends: Int32Array): number {
    return this.#result(
      this.#call.socketpair(
        AF.UNIX,
        SOCK.STREAM | FLAGS,
        0,
        new Uint8Array(ends.buffer as ArrayBuffer, ends.byteOffset, 8),
      ),
    );
  }

  errorText(error: number): string {
    return this.#libc.errorText(Math.abs(error));
  }

  /** Starts a connection from a local port; 0 lets the system choose. */
  #connectFrom(
    words: Int32Array,
    port: number,
    origin: SocketOrigin | undefined,
    localPort: number,
  ): number {
    const family = familyOf(words);
    const descriptor = this.#open(family, SOCK.STREAM, origin);
    if (descriptor < 0) return descriptor;
    const options = this.#options;
    // Lets a port whose connection is in TIME_WAIT be asked for by name.
    options.set(descriptor, SOL.SOCKET, SO.REUSEADDR, 1);
    const local = origin?.localAddress;
    const isOurs = local !== undefined && familyOf(local) === family;
    if (isOurs && localPort === 0) {
      // Without this the port would be taken for all destinations at once.
      options.set(descriptor, IPPROTO.IP, IP.BIND_ADDRESS_NO_PORT, 1);
    }
    let error = 0;
    if (isOurs || localPort !== 0) {
      const any = family === 4 ? ANY_4 : ANY_6;
      error = this.bind(descriptor, {
        words: isOurs ? local : any,
        port: localPort,
      });
    }
    if (error === 0) error = this.#connect(descriptor, family, words, port);
    return error === 0 || error === -ERRNO.EINPROGRESS
      ? descriptor
      : this.#giveUp(descriptor, error);
  }

  /** A socket that starts where it should. */
  #open(family: 4 | 6, type: number, origin: SocketOrigin | undefined): number {
    const domain = family === 4 ? AF.INET : AF.INET6;
    const descriptor = this.#call.socket(domain, type | FLAGS, 0);
    if (descriptor < 0) return -this.#libc.errno();
    let error = family === 4
      ? 0
      : this.#set(descriptor, IPPROTO.IPV6, IPV6.V6ONLY, 1);
    if (error === 0 && origin?.interfaceName !== undefined) {
      error = this.#bindToInterface(descriptor, origin.interfaceName);
    }
    if (error === 0 && origin?.interfaceIndex !== undefined) {
      error = this.#set(
        descriptor,
        SOL.SOCKET,
        SO.BINDTOIFINDEX,
        origin.interfaceIndex,
      );
    }
    if (error === 0 && origin?.mark !== undefined) {
      error = this.#set(descriptor, SOL.SOCKET, SO.MARK, origin.mark);
    }
    return error === 0 ? descriptor : this.#giveUp(descriptor, error);
  }

  #bindToInterface(descriptor: number, name: string): number {
    const text = cString(name);
    return this.#result(
      this.#call.setsockopt(
        descriptor,
        SOL.SOCKET,
        SO.BINDTODEVICE,
        text,
        text.length,
      ),
    );
  }

  #connect(
    descriptor: number,
    family: 4 | 6,
    words: Int32Array,
    port: number,
  ): number {
    const address = this.#address;
    const length = writeSocketAddress(address, 0, family, words, 0, port);
    return this.#result(this.#call.connect(descriptor, address, length));
  }

  #set(descriptor: number, level: number, name: number, value: number): number {
    return this.#options.set(descriptor, level, name, value)
      ? 0
      : -this.#libc.errno();
  }

  #giveUp(descriptor: number, error: number): number {
    this.#call.close(descriptor);
    return error;
  }

  #readPeer(): void {
    readSocketAddress(this.#address, 0, this.peer, 0);
    this.peerPort = readSocketPort(this.#address, 0);
  }

  #result(result: number): number {
    return result === 0 ? 0 : -this.#libc.errno();
  }
}

/** Whether it is only the local port that was not to be had. */
function isPortTaken(result: number): boolean {
  return result === -ERRNO.EADDRNOTAVAIL || result === -ERRNO.EADDRINUSE;
}

function familyOf(words: Int32Array): 4 | 6 {
  return isMappedIpv4(words) ? 4 : 6;
}

/** What makes closing reset a connection. */
function lingerForNoTime(): Uint8Array<ArrayBuffer> {
  const value = new Uint8Array(linger.size);
  value[linger.at.l_onoff] = 1;
  return value;
}
