/**
 * Opening and giving up the sockets of NAT rows. An open socket sits in the
 * receiving worker's poll set from the start; giving it up puts it into a queue
 * that this worker empties.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  AF,
  ERRNO,
  IP,
  IPPROTO,
  IPV6,
  SOCK,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import {
  OpenFailure,
  type OutsideSockets,
} from "../../../core/flow/outside_sockets.ts";
import { Protocol } from "../../../core/wire/protocol.ts";
import type { OutsideShared } from "../../ports.ts";
import { DescriptorRoom } from "./descriptor_room.ts";
import { openPing } from "./echo_socket.ts";
import { isRawHandle, openRawHandle } from "../shared/outside_handle.ts";
import { OutsideBinding } from "./outside_binding.ts";
import { OutsideModes } from "../shared/outside_modes.ts";
import { OutsideRetired } from "../shared/outside_retired.ts";
import { PollSet } from "./poller_set.ts";
import {
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";
import { SocketOptions } from "./socket_option.ts";
import { attachWake } from "./wake.ts";

/** What a mapping's socket may hold while the receiving worker or the device is busy. */
const BUFFER_BYTES = 1 << 20;

/** The sockets of NAT rows, for the worker that owns the rows. */
export class LinuxOutsideSockets implements OutsideSockets, Disposable {
  readonly #libc: Libc;
  readonly #shared: OutsideShared;
  readonly #options: SocketOptions;
  readonly #descriptors: DescriptorRoom;
  readonly #set: PollSet;
  readonly #binding: OutsideBinding;
  readonly #modes: OutsideModes;
  readonly #retired: OutsideRetired;
  readonly #wake;
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  readonly #addressRoom = new Uint32Array(1);
  readonly #addressRoomBytes = new Uint8Array(this.#addressRoom.buffer);
  readonly #any = new Int32Array(4);
  /** Descriptors that are open and not yet retired. */
  readonly #open = new Set<number>();

  constructor(libc: Libc, shared: OutsideShared) {
    this.#libc = libc;
    this.#shared = shared;
    this.#options = new SocketOptions(libc);
    this.#descriptors = new DescriptorRoom(libc);
    this.#set = new PollSet(libc, shared.poller);
    this.#binding = new OutsideBinding(shared.binding);
    this.#modes = new OutsideModes(shared.modes);
    this.#retired = new OutsideRetired(shared.retired, shared.capacity);
    this.#wake = attachWake(libc, shared.wake);
  }

  open(protocol: number, family: 4 | 6, port: number, row: number): number {
    const echo = protocol !== Protocol.Udp;
    if (echo && this.#shared.echo === "raw") {
      return openRawHandle(this.#shared, family);
    }
    if (echo && this.#shared.echo === "none") return OpenFailure.NotPermitted;
    const libc = this.#libc;
    const opened = echo
      ? openPing(libc, this.#options, family)
      : libc.call.socket(
        family === 4 ? AF.INET : AF.INET6,
        SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC,
        0,
      );
    if (opened < 0) return openFailure(libc.errno());
    const descriptor = this.#descriptors.admit(opened);
    if (descriptor < 0) return openFailure(-descriptor);
    if (
      this.#configure(descriptor, family) &&
      this.#bind(descriptor, family, port) &&
      this.#set.add(descriptor, row, descriptor)
    ) {
      this.#modes.forget(descriptor);
      this.#open.add(descriptor);
      return descriptor;
    }
    const failure = openFailure(libc.errno());
    libc.call.close(descriptor);
    return failure;
  }

  port(handle: number): number {
    if (isRawHandle(handle)) return 0;
    this.#addressRoom[0] = SOCKET_ADDRESS_ROOM;
    const result = this.#libc.call.getsockname(
      handle,
      this.#address,
      this.#addressRoomBytes,
    );
    return result === 0 ? readSocketPort(this.#address, 0) : 0;
  }

  retire(row: number, handle: number): void {
    this.#open.delete(handle);
    this.#retired.push(row, handle);
    this.#wake.signal();
  }

  /** Closes what is still open, the receiving worker having ended. */
  [Symbol.dispose](): void {
    for (const descriptor of this.#open) {
      this.#set.remove(descriptor);
      this.#libc.call.close(descriptor);
    }
    this.#open.clear();
  }

  #configure(descriptor: number, family: 4 | 6): boolean {
    const options = this.#options;
    options.setBuffer(descriptor, "receive", BUFFER_BYTES);
    options.setBuffer(descriptor, "send", BUFFER_BYTES);
    // A kernel or a ping socket without it gives datagrams one at a time.
    options.set(descriptor, IPPROTO.UDP, UDP.GRO, 1);
    return (family === 4 ||
      options.set(descriptor, IPPROTO.IPV6, IPV6.V6ONLY, 1)) &&
      configureOutside(
        options,
        descriptor,
        family,
        this.#binding,
      );
  }

  #bind(descriptor: number, family: 4 | 6, port: number): boolean {
    const address = this.#address;
    const length = writeSocketAddress(address, 0, family, this.#any, 0, port);
    return this.#libc.call.bind(descriptor, address, length) === 0;
  }
}

/**
 * Makes a socket tell hop limits, keep ICMP errors with what they are about, and
 * leave as the binding says.
 * @returns whether it worked; errno tells why not.
 */
export function configureOutside(
  options: SocketOptions,
  descriptor: number,
  family: 4 | 6,
  binding: OutsideBinding,
): boolean {
  if (!binding.apply(options, descriptor, family)) return false;
  if (family === 4) {
    return options.set(descriptor, IPPROTO.IP, IP.RECVERR, 1) &&
      options.set(descriptor, IPPROTO.IP, IP.RECVTTL, 1);
  }
  return options.set(descriptor, IPPROTO.IPV6, IPV6.RECVERR, 1) &&
    options.set(descriptor, IPPROTO.IPV6, IPV6.RECVHOPLIMIT, 1);
}

function openFailure(errno: number): number {
  switch (errno) {
    case ERRNO.EADDRINUSE:
      return OpenFailure.InUse;
    case ERRNO.EMFILE:
    case ERRNO.ENFILE:
    case ERRNO.ENOMEM:
    case ERRNO.ENOBUFS:
    case ERRNO.ENOSPC:
      return OpenFailure.OutOfResources;
    default:
      return OpenFailure.NotPermitted;
  }
}
