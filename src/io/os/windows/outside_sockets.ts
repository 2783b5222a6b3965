/**
 * Opening and giving up the sockets of NAT rows. An open socket sits in the
 * receiving worker's poll set from the start; giving it up puts it into a queue
 * that this worker empties. Echo requests leave by the raw socket of their
 * family, which all mappings share.
 */
import {
  AF,
  FIO,
  INVALID_SOCKET,
  IP,
  IPPROTO,
  IPV6,
  SIO,
  SO,
  SOCK,
  SOL_SOCKET,
  UDP,
  type Ws2,
  WSA,
  WSA_FLAGS,
} from "../../../../ffi/windows/ws2_32.ts";
import {
  OpenFailure,
  type OutsideSockets,
} from "../../../core/flow/outside_sockets.ts";
import { Protocol } from "../../../core/wire/protocol.ts";
import type { OutsideShared } from "../../ports.ts";
import { isRawHandle, openRawHandle } from "../shared/outside_handle.ts";
import { OutsideModes } from "../shared/outside_modes.ts";
import { OutsideRetired } from "../shared/outside_retired.ts";
import { AfdPoll } from "./afd_poll.ts";
import { DATAGRAM_BYTES } from "./message_receiver.ts";
import { OutsideBinding } from "./outside_binding.ts";
import { OutsideRows } from "./outside_rows.ts";
import { PollSet } from "./poller_set.ts";
import {
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";
import type { SocketLibraries } from "./socket_libraries.ts";
import { numberOf } from "./socket_number.ts";
import { attachWake } from "./wake.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** What a mapping's socket may hold while the receiving worker or the device is busy. */
const BUFFER_BYTES = 1 << 20;
/** In the list of open sockets: the family's bit above the port. */
const IPV6_BIT = 0x1_0000;

/** The sockets of NAT rows, for the worker that owns the rows. */
export class WindowsOutsideSockets implements OutsideSockets, Disposable {
  readonly #ws2: Ws2;
  readonly #shared: OutsideShared;
  readonly #options: WinsockOptions;
  readonly #set: PollSet;
  readonly #binding: OutsideBinding;
  readonly #modes: OutsideModes;
  readonly #retired: OutsideRetired;
  readonly #rows: OutsideRows | undefined;
  readonly #wake;
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  readonly #addressRoom = new Int32Array(1);
  readonly #addressRoomBytes = new Uint8Array(this.#addressRoom.buffer);
  readonly #any = new Int32Array(4);
  /** Sockets that are open and not yet retired, with family and port. */
  readonly #open = new Map<number, number>();

  constructor(libraries: SocketLibraries, shared: OutsideShared) {
    const { ws2, kernel32 } = libraries;
    this.#ws2 = ws2;
    this.#shared = shared;
    this.#options = new WinsockOptions(ws2);
    this.#set = new PollSet(new AfdPoll(libraries, shared.poller));
    this.#binding = new OutsideBinding(shared.binding);
    this.#modes = new OutsideModes(shared.modes);
    this.#retired = new OutsideRetired(shared.retired, shared.capacity);
    this.#rows = shared.errors && new OutsideRows(shared.errors.rows);
    this.#wake = attachWake(kernel32, shared.wake);
  }

  open(protocol: number, family: 4 | 6, port: number, row: number): number {
    if (protocol !== Protocol.Udp) return openRawHandle(this.#shared, family);
    const { call } = this.#ws2;
    const domain = family === 4 ? AF.INET : AF.INET6;
    const socket = call
      .WSASocketW(domain, SOCK.DGRAM, IPPROTO.UDP, null, 0, WSA_FLAGS);
    if (socket === INVALID_SOCKET) return openFailure(call.WSAGetLastError());
    if (!this.#configure(socket, family)) {
      call.closesocket(socket);
      return OpenFailure.NotPermitted;
    }
    const length = writeSocketAddress(
      this.#address,
      0,
      family,
      this.#any,
      0,
      port,
    );
    if (call.bind(socket, this.#address, length) !== 0) {
      const failure = openFailure(call.WSAGetLastError());
      call.closesocket(socket);
      return failure;
    }
    this.#rows?.set(family, port, row);
    if (!this.#set.add(socket, row, socket)) {
      this.#rows?.clear(family, port, row);
      call.closesocket(socket);
      return OpenFailure.OutOfResources;
    }
    this.#modes.forget(numberOf(socket));
    this.#open.set(socket, family === 4 ? port : IPV6_BIT + port);
    return socket;
  }

  port(handle: number): number {
    if (isRawHandle(handle)) return 0;
    this.#addressRoom[0] = SOCKET_ADDRESS_ROOM;
    const result = this.#ws2.call.getsockname(
      handle,
      this.#address,
      this.#addressRoomBytes,
    );
    return result === 0 ? readSocketPort(this.#address, 0) : 0;
  }

  retire(row: number, handle: number): void {
    const bound = this.#open.get(handle);
    if (bound !== undefined) {
      const family = bound < IPV6_BIT ? 4 : 6;
      this.#rows?.clear(family, bound & 0xffff, row);
      this.#open.delete(handle);
    }
    this.#retired.push(row, handle);
    this.#wake.signal();
  }

  /** Closes what is still open, the receiving worker having ended. */
  [Symbol.dispose](): void {
    for (const socket of this.#open.keys()) {
      this.#set.remove(socket);
      this.#ws2.call.closesocket(socket);
    }
    this.#open.clear();
  }

  #configure(socket: number, family: 4 | 6): boolean {
    const options = this.#options;
    if (options.setNonBlocking(socket, FIO.NBIO) !== 0) return false;
    options.set(socket, SOL_SOCKET, SO.EXCLUSIVEADDRUSE, 1);
    options.set(socket, SOL_SOCKET, SO.RCVBUF, BUFFER_BYTES);
    options.set(socket, SOL_SOCKET, SO.SNDBUF, BUFFER_BYTES);
    // Errors are told by the raw sockets; here they would fail receiving.
    options.switch(socket, SIO.UDP_CONNRESET, 0);
    options.switch(socket, SIO.UDP_NETRESET, 0);
    // A system without it gives datagrams one at a time.
    const trains = UDP.RECV_MAX_COALESCED_SIZE;
    options.set(socket, IPPROTO.UDP, trains, DATAGRAM_BYTES - 1);
    if (family === 4) options.set(socket, IPPROTO.IP, IP.RECVTTL, 1);
    else {
      options.set(socket, IPPROTO.IPV6, IPV6.HOPLIMIT, 1);
      if (options.set(socket, IPPROTO.IPV6, IPV6.V6ONLY, 1) !== 0) return false;
    }
    return this.#binding.apply(options, socket, family);
  }
}

function openFailure(code: number): number {
  switch (code) {
    case WSA.EADDRINUSE:
    // What another socket holds for itself alone.
    case WSA.EACCES:
      return OpenFailure.InUse;
    case WSA.EMFILE:
    case WSA.ENOBUFS:
    case WSA.NOT_ENOUGH_MEMORY:
      return OpenFailure.OutOfResources;
    default:
      return OpenFailure.NotPermitted;
  }
}
