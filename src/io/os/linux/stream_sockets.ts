/**
 * A relay's sockets on Linux. Source: tcp(7), udp(7), socket(7), recv(2).
 *
 * `recv` with MSG_TRUNC throws a TCP stream's bytes away without copying them;
 * on other streams it is an ordinary read.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { linger } from "../../../../ffi/linux_layouts.ts";
import {
  EFD,
  ERRNO,
  IPPROTO,
  MSG,
  SHUT,
  SO,
  SOCK,
  SOL,
  TCP,
  TCP_STATE,
} from "../../../../ffi/linux_socket_constants.ts";
import { equalWords } from "../../../core/wire/address.ts";
import type { SocketOrigin } from "../../ports/dialer.ts";
import type {
  BindAddress,
  ListenOptions,
  StreamSockets,
  StreamSocketsOptions,
} from "../../ports/stream_sockets.ts";
import { DescriptorRoom } from "./descriptor_room.ts";
import { Netlink } from "./netlink.ts";
import {
  readSocketAddress,
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";
import { familyOf, SocketOpener } from "./socket_opener.ts";
import { SocketOptions } from "./socket_option.ts";

const FLAGS = SOCK.NONBLOCK | SOCK.CLOEXEC;
/** LOOPBACK_IFINDEX, in every network namespace: where local routes lead. */
const LOOPBACK = 1;

/** Opens the sockets for the calling thread. */
export function openStreamSockets(
  libc: Libc,
  { reserve = "usable" }: StreamSocketsOptions = {},
): StreamSockets {
  const room = reserve === "kept" ? new DescriptorRoom(libc) : undefined;
  return new LinuxStreamSockets(libc, room);
}

class LinuxStreamSockets implements StreamSockets {
  readonly peer = new Int32Array(4);
  peerPort = 0;
  readonly #libc: Libc;
  readonly #call: Libc["call"];
  readonly #options: SocketOptions;
  readonly #opener: SocketOpener;
  readonly #descriptors: DescriptorRoom | undefined;
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  readonly #room = new Uint32Array(1);
  readonly #roomBytes = new Uint8Array(this.#room.buffer);
  readonly #own = new Int32Array(4);
  readonly #other = new Int32Array(4);
  readonly #resetOnClose = lingerForNoTime();
  /** For the system's routes; opened when they are first asked. */
  #netlink: Netlink | undefined;

  constructor(libc: Libc, room: DescriptorRoom | undefined) {
    this.#libc = libc;
    this.#call = libc.call;
    this.#options = new SocketOptions(libc);
    this.#opener = new SocketOpener(libc, room);
    this.#descriptors = room;
  }

  listen(options: ListenOptions): number {
    const { address, backlog, interfaceName } = options;
    const opener = this.#opener;
    const family = familyOf(address.words);
    const descriptor = opener.open(family, SOCK.STREAM, { interfaceName });
    if (descriptor < 0) return descriptor;
    this.#options.set(descriptor, SOL.SOCKET, SO.REUSEADDR, 1);
    this.noDelay(descriptor);
    let error = this.bind(descriptor, address);
    if (error === 0) {
      error = this.#result(this.#call.listen(descriptor, backlog));
    }
    return error === 0 ? descriptor : opener.giveUp(descriptor, error);
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
    return this.#opener.openConnection(words, port, origin);
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
    if (equalWords(this.#own, 0, this.#other, 0)) return true;
    // The host speaks to a secondary address of its own from the primary one.
    return this.#leadsToHost(this.#other);
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

  vanish(descriptor: number): void {
    // A connection in repair is closed without a segment: tcp_close in Linux.
    this.#set(descriptor, IPPROTO.TCP, TCP.REPAIR, 1);
    this.reset(descriptor);
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

  keepAlive(
    descriptor: number,
    idle: number,
    interval: number,
    probes: number,
  ): number {
    return this.#set(descriptor, IPPROTO.TCP, TCP.KEEPIDLE, idle) ||
      this.#set(descriptor, IPPROTO.TCP, TCP.KEEPINTVL, interval) ||
      this.#set(descriptor, IPPROTO.TCP, TCP.KEEPCNT, probes) ||
      this.#set(descriptor, SOL.SOCKET, SO.KEEPALIVE, 1);
  }

  spare(): number {
    const descriptor = this.#call.eventfd(0, EFD.CLOEXEC);
    if (descriptor < 0) return -this.#libc.errno();
    return this.#descriptors?.admit(descriptor) ?? descriptor;
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

  errorText(error: number): string {
    return this.#libc.errorText(Math.abs(error));
  }

  #set(descriptor: number, level: number, name: number, value: number): number {
    return this.#options.set(descriptor, level, name, value)
      ? 0
      : -this.#libc.errno();
  }

  #readPeer(): void {
    readSocketAddress(this.#address, 0, this.peer, 0);
    this.peerPort = readSocketPort(this.#address, 0);
  }

  /** Whether the system would keep a packet; in doubt it would. */
  #leadsToHost(words: Int32Array): boolean {
    try {
      const netlink = this.#netlink ??= new Netlink(this.#libc);
      return netlink.lookup(words)?.index === LOOPBACK;
    } catch {
      return true;
    }
  }

  #result(result: number): number {
    return result === 0 ? 0 : -this.#libc.errno();
  }
}

/** What makes closing reset a connection. */
function lingerForNoTime(): Uint8Array<ArrayBuffer> {
  const value = new Uint8Array(linger.size);
  value[linger.at.l_onoff] = 1;
  return value;
}
