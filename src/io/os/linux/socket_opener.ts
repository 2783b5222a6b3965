/** Sockets that start where they should: local address, interface, mark, port. */
import { cString, type Libc } from "../../../../ffi/libc.ts";
import {
  AF,
  ERRNO,
  IP,
  IPPROTO,
  IPV6,
  SO,
  SOCK,
  SOL,
} from "../../../../ffi/linux_socket_constants.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import type { SocketOrigin } from "../../ports/dialer.ts";
import type { BindAddress } from "../../ports/stream_sockets.ts";
import type { DescriptorRoom } from "./descriptor_room.ts";
import { LocalPorts } from "./local_ports.ts";
import { SOCKET_ADDRESS_ROOM, writeSocketAddress } from "./socket_address.ts";
import { SocketOptions } from "./socket_option.ts";

const FLAGS = SOCK.NONBLOCK | SOCK.CLOEXEC;
/** Local ports that are tried after the first one. */
const PORT_TRIES = 16;
const ANY_4 = Int32Array.of(0, 0, 0xffff, 0);
const ANY_6 = new Int32Array(4);

/** The family of a socket for an address. */
export function familyOf(words: Int32Array): 4 | 6 {
  return isMappedIpv4(words) ? 4 : 6;
}

/** Opens, binds and connects sockets; results are descriptors, 0 or negative errors. */
export class SocketOpener {
  readonly #libc: Libc;
  readonly #options: SocketOptions;
  readonly #descriptors: DescriptorRoom | undefined;
  readonly #ports = new LocalPorts();
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);

  /** @param room what bounds the descriptors; all of the process's without it */
  constructor(libc: Libc, room?: DescriptorRoom) {
    this.#libc = libc;
    this.#descriptors = room;
    this.#options = new SocketOptions(libc);
  }

  /** Opens a non-blocking socket; in IPv6 for IPv6 alone. */
  open(family: 4 | 6, type: number, origin?: SocketOrigin): number {
    const domain = family === 4 ? AF.INET : AF.INET6;
    const opened = this.#libc.call.socket(domain, type | FLAGS, 0);
    if (opened < 0) return -this.#libc.errno();
    const descriptor = this.#descriptors?.admit(opened) ?? opened;
    if (descriptor < 0) return descriptor;
    const error = this.#configure(descriptor, family, origin);
    return error === 0 ? descriptor : this.giveUp(descriptor, error);
  }

  /** Binds a socket to an address of its family. */
  bind(descriptor: number, { words, port }: BindAddress): number {
    const address = this.#address;
    const family = familyOf(words);
    const length = writeSocketAddress(address, 0, family, words, 0, port);
    return this.#result(this.#libc.call.bind(descriptor, address, length));
  }

  /** Connects a socket, or starts to. */
  connect(descriptor: number, words: Int32Array, port: number): number {
    const address = this.#address;
    const family = familyOf(words);
    const length = writeSocketAddress(address, 0, family, words, 0, port);
    return this.#result(this.#libc.call.connect(descriptor, address, length));
  }

  /** Opens a TCP socket and starts to connect it. */
  openConnection(
    words: Int32Array,
    port: number,
    origin: SocketOrigin | undefined,
  ): number {
    const ports = this.#ports;
    let result = this.#connectFrom(words, port, origin, ports.next());
    for (let left = PORT_TRIES; left > 0 && isPortTaken(result); left--) {
      result = this.#connectFrom(words, port, origin, ports.any());
    }
    return result;
  }

  /** Closes a socket that came to nothing. @returns the error */
  giveUp(descriptor: number, error: number): number {
    this.#libc.call.close(descriptor);
    return error;
  }

  /** Starts a connection from a local port; 0 lets the system choose. */
  #connectFrom(
    words: Int32Array,
    port: number,
    origin: SocketOrigin | undefined,
    localPort: number,
  ): number {
    const family = familyOf(words);
    const descriptor = this.open(family, SOCK.STREAM, origin);
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
      const from = isOurs ? local : any;
      error = this.bind(descriptor, { words: from, port: localPort });
    }
    if (error === 0) error = this.connect(descriptor, words, port);
    return error === 0 || error === -ERRNO.EINPROGRESS
      ? descriptor
      : this.giveUp(descriptor, error);
  }

  #configure(
    descriptor: number,
    family: 4 | 6,
    origin: SocketOrigin | undefined,
  ): number {
    const { interfaceName, interfaceIndex, mark } = origin ?? {};
    let error = family === 4
      ? 0
      : this.#set(descriptor, IPPROTO.IPV6, IPV6.V6ONLY, 1);
    if (error === 0 && interfaceName !== undefined) {
      error = this.#bindToInterface(descriptor, interfaceName);
    }
    if (error === 0 && interfaceIndex !== undefined) {
      const name = SO.BINDTOIFINDEX;
      error = this.#set(descriptor, SOL.SOCKET, name, interfaceIndex);
    }
    if (error === 0 && mark !== undefined) {
      error = this.#set(descriptor, SOL.SOCKET, SO.MARK, mark);
    }
    return error;
  }

  #bindToInterface(descriptor: number, name: string): number {
    const text = cString(name);
    return this.#result(
      this.#libc.call.setsockopt(
        descriptor,
        SOL.SOCKET,
        SO.BINDTODEVICE,
        text,
        text.length,
      ),
    );
  }

  #set(descriptor: number, level: number, name: number, value: number): number {
    return this.#options.set(descriptor, level, name, value)
      ? 0
      : -this.#libc.errno();
  }

  #result(result: number): number {
    return result === 0 ? 0 : -this.#libc.errno();
  }
}

/** Whether it is only the local port that was not to be had. */
function isPortTaken(result: number): boolean {
  return result === -ERRNO.EADDRNOTAVAIL || result === -ERRNO.EADDRINUSE;
}
