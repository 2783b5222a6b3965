/**
 * Sockets that start where they should: local address and interface. Windows
 * sends from an address by its own interface only, and takes in what came by
 * it only; it has no marks.
 */
import { tcpInitialRto } from "../../../../ffi/windows/layouts/ws2_32.ts";
import {
  AF,
  FIO,
  INVALID_SOCKET,
  IPPROTO,
  IPV6,
  SIO,
  SO,
  SOCK,
  SOL_SOCKET,
  type Ws2,
  WSA_FLAGS,
} from "../../../../ffi/windows/ws2_32.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import type { SocketOrigin } from "../../ports/dialer.ts";
import { type BindAddress, SocketError } from "../../ports/stream_sockets.ts";
import { interfaceIndexOf } from "./interface_index.ts";
import { SOCKET_ADDRESS_ROOM, writeSocketAddress } from "./socket_address.ts";
import { socketError } from "./socket_error.ts";
import { bindToInterface } from "./socket_interface.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** A listener holds more only where it is asked for by a negative number; whom it can't hold it resets. */
const MODEST_BACKLOG = 200;
/** TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS */
const NO_SYN_AGAIN = 0xfe;

/** The family of a socket for an address. */
export function familyOf(words: Int32Array): 4 | 6 {
  return isMappedIpv4(words) ? 4 : 6;
}

/** Opens, binds and connects sockets; results are sockets, 0 or negative errors. */
export class SocketOpener {
  readonly #call: Ws2["call"];
  readonly #options: WinsockOptions;
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  readonly #oneSyn = new Uint8Array(tcpInitialRto.size);

  constructor(ws2: Ws2) {
    this.#call = ws2.call;
    this.#options = new WinsockOptions(ws2);
    this.#oneSyn[tcpInitialRto.at.MaxSynRetransmissions] = NO_SYN_AGAIN;
  }

  /** Opens a non-blocking socket; in IPv6 for IPv6 alone. */
  open(family: 4 | 6, type: number, origin?: SocketOrigin): number {
    const socket = this.#call.WSASocketW(
      family === 4 ? AF.INET : AF.INET6,
      type,
      type === SOCK.STREAM ? IPPROTO.TCP : IPPROTO.UDP,
      null,
      0,
      WSA_FLAGS,
    );
    if (socket === INVALID_SOCKET) return this.#error();
    const error = this.#configure(socket, family, origin);
    if (error !== 0) return this.giveUp(socket, error);
    if (type === SOCK.DGRAM) this.tellRefusals(socket, 0);
    return socket;
  }

  /**
   * Whether a datagram socket tells that an earlier datagram found nobody (1).
   * Of one that speaks to many it would say nothing about which.
   */
  tellRefusals(socket: number, told: 0 | 1): void {
    this.#options.switch(socket, SIO.UDP_CONNRESET, told);
    this.#options.switch(socket, SIO.UDP_NETRESET, told);
  }

  /** Binds a socket to an address of its family. */
  bind(socket: number, { words, port }: BindAddress): number {
    const address = this.#address;
    const family = familyOf(words);
    const length = writeSocketAddress(address, 0, family, words, 0, port);
    return this.#result(this.#call.bind(socket, address, length));
  }

  /** Connects a socket; -WouldBlock where that goes on. */
  connect(socket: number, words: Int32Array, port: number): number {
    const address = this.#address;
    const family = familyOf(words);
    const length = writeSocketAddress(address, 0, family, words, 0, port);
    return this.#result(this.#call.connect(socket, address, length));
  }

  /** Opens a TCP socket and starts to connect it. */
  openConnection(
    words: Int32Array,
    port: number,
    origin: SocketOrigin | undefined,
  ): number {
    const family = familyOf(words);
    const socket = this.open(family, SOCK.STREAM, origin);
    if (socket < 0) return socket;
    const local = origin?.localAddress;
    let error = 0;
    if (local !== undefined && familyOf(local) === family) {
      error = this.bind(socket, { words: local, port: 0 });
    }
    if (isLoopback(words)) {
      this.#options.give(socket, SIO.TCP_INITIAL_RTO, this.#oneSyn);
    }
    if (error === 0) error = this.connect(socket, words, port);
    return error === 0 || error === -SocketError.WouldBlock
      ? socket
      : this.giveUp(socket, error);
  }

  /** Opens a TCP socket that listens, and that no other program may join. */
  openListener({ words, port }: BindAddress, backlog: number): number {
    const socket = this.open(familyOf(words), SOCK.STREAM);
    if (socket < 0) return socket;
    // Where SO_REUSEADDR on Linux passes over TIME_WAIT, here it would share the port.
    let error = this.#options.set(socket, SOL_SOCKET, SO.EXCLUSIVEADDRUSE, 1);
    if (error === 0) error = this.bind(socket, { words, port });
    if (error === 0) {
      const most = backlog > MODEST_BACKLOG ? -backlog : backlog;
      error = this.#result(this.#call.listen(socket, most));
    }
    return error === 0 ? socket : this.giveUp(socket, error);
  }

  /** Whether an address is one of this host: only such can be bound to. */
  isOwn(words: Int32Array): boolean {
    const socket = this.open(familyOf(words), SOCK.DGRAM);
    if (socket < 0) return true;
    const error = this.bind(socket, { words, port: 0 });
    this.#call.closesocket(socket);
    return error !== -SocketError.AddressNotAvailable;
  }

  /** Closes a socket that came to nothing. @returns the error */
  giveUp(socket: number, error: number): number {
    this.#call.closesocket(socket);
    return error;
  }

  #configure(
    socket: number,
    family: 4 | 6,
    origin: SocketOrigin | undefined,
  ): number {
    const options = this.#options;
    let error = options.setNonBlocking(socket, FIO.NBIO);
    if (error === 0 && family === 6) {
      error = options.set(socket, IPPROTO.IPV6, IPV6.V6ONLY, 1);
    }
    const { interfaceName, interfaceIndex } = origin ?? {};
    if (error === 0 && interfaceName !== undefined) {
      const index = interfaceIndexOf(interfaceName);
      error = index === undefined
        ? -SocketError.NoDevice
        : this.#leaveBy(socket, family, index);
    }
    if (error === 0 && interfaceIndex !== undefined) {
      error = this.#leaveBy(socket, family, interfaceIndex);
    }
    return error;
  }

  #leaveBy(socket: number, family: 4 | 6, index: number): number {
    return bindToInterface(this.#options, socket, family, index)
      ? 0
      : -SocketError.NoDevice;
  }

  #result(result: number): number {
    return result === 0 ? 0 : this.#error();
  }

  #error(): number {
    return -socketError(this.#call.WSAGetLastError());
  }
}

/** Nothing is lost there: where a RST answers, the system would ask again for two seconds. */
function isLoopback(words: Int32Array): boolean {
  return familyOf(words) === 4
    ? words[3] >>> 24 === 127
    : (words[0] | words[1] | words[2]) === 0 && words[3] === 1;
}
