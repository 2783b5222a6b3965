/**
 * The UDP socket that carries tunnel messages: one dual-stack socket, opened by
 * one thread, used by all. Datagrams lie one behind the other in the worker's
 * area; a train (UDP_RECV_MAX_COALESCED_SIZE) is one of them, and each of its
 * datagrams becomes a row. Sending is {@linkcode TunnelSocketQueue}.
 */
import {
  in6Pktinfo,
  inPktinfo,
} from "../../../../ffi/windows/layouts/ws2_32.ts";
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
import { Win32Error } from "../../../../ffi/windows/win32_error.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { readU32be } from "../../../core/wire/bytes.ts";
import {
  type OpenedTunnelSocket,
  PortInUseError,
  type TunnelSocket,
  type TunnelSocketAttachment,
  type TunnelSocketOptions,
} from "../../ports.ts";
import { TunnelSocketSources } from "../shared/tunnel_socket_sources.ts";
import { controlSpace } from "./message_block.ts";
import {
  DATAGRAM_BYTES,
  MessageReceiver,
  NotReceived,
} from "./message_receiver.ts";
import {
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";
import { bindToInterface } from "./socket_interface.ts";
import { TunnelSocketQueue } from "./tunnel_socket_queue.ts";
import { ReceivedTrains, receivesTrains, TRAIN_ROWS } from "./udp_trains.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** What the socket may hold while its worker is busy. */
const BUFFER_BYTES = 7 << 20;
/** Errors that are passed over in one call, so that it ends. */
const MAX_ERRORS = 64;

/**
 * Opens and binds the socket; trains where the system has them. Windows has no
 * marks: `fwmark` says nothing here.
 * @throws {PortInUseError} where another program has the port.
 * @throws {Win32Error} where anything else fails.
 */
export function openTunnelSocket(
  ws2: Ws2,
  options: TunnelSocketOptions,
): OpenedTunnelSocket {
  const v6 = open(ws2, 6, options);
  const family = v6 === INVALID_SOCKET ? 4 : 6;
  const descriptor = family === 6 ? v6 : open(ws2, 4, options);
  try {
    if (descriptor === INVALID_SOCKET) {
      throw new Win32Error("socket", ws2.call.WSAGetLastError());
    }
    const port = bindAny(ws2, descriptor, family, options.port);
    return {
      descriptor,
      port,
      family,
      sources: options.source === "sticky"
        ? new SharedArrayBuffer(TunnelSocketSources.BYTE_LENGTH)
        : undefined,
      [Symbol.dispose]: () => void ws2.call.closesocket(descriptor),
    };
  } catch (error) {
    ws2.call.closesocket(descriptor);
    throw error;
  }
}

/** Uses the socket in one worker; disposing of it leaves the socket open. */
export function attachTunnelSocket(
  ws2: Ws2,
  attachment: TunnelSocketAttachment,
): TunnelSocket {
  return new WindowsTunnelSocket(ws2, attachment);
}

/** @returns INVALID_SOCKET where the system has no such family, or no way to do so. */
function open(ws2: Ws2, family: 4 | 6, options: TunnelSocketOptions): number {
  const domain = family === 6 ? AF.INET6 : AF.INET;
  const { call } = ws2;
  const socket = call
    .WSASocketW(domain, SOCK.DGRAM, IPPROTO.UDP, null, 0, WSA_FLAGS);
  if (socket === INVALID_SOCKET) return socket;
  if (configure(new WinsockOptions(ws2), socket, family, options)) {
    return socket;
  }
  call.closesocket(socket);
  return INVALID_SOCKET;
}

/** @returns whether the socket can be what it is to be. */
function configure(
  set: WinsockOptions,
  socket: number,
  family: 4 | 6,
  { source, interfaceIndex }: TunnelSocketOptions,
): boolean {
  set.setNonBlocking(socket, FIO.NBIO);
  set.set(socket, SOL_SOCKET, SO.EXCLUSIVEADDRUSE, 1);
  set.set(socket, SOL_SOCKET, SO.RCVBUF, BUFFER_BYTES);
  set.set(socket, SOL_SOCKET, SO.SNDBUF, BUFFER_BYTES);
  // A remote that is not there would fail the next receive.
  set.switch(socket, SIO.UDP_CONNRESET, 0);
  set.switch(socket, SIO.UDP_NETRESET, 0);
  set.set(
    socket,
    IPPROTO.UDP,
    UDP.RECV_MAX_COALESCED_SIZE,
    DATAGRAM_BYTES - 1,
  );
  if (source === "sticky") {
    set.set(socket, IPPROTO.IP, IP.PKTINFO, 1);
    if (family === 6) set.set(socket, IPPROTO.IPV6, IPV6.PKTINFO, 1);
  }
  const dual = family === 4 ||
    set.set(socket, IPPROTO.IPV6, IPV6.V6ONLY, 0) === 0;
  if (!dual || interfaceIndex === undefined) return dual;
  // A dual-stack socket that IPv6 leaves by routes could go round in a circle.
  return (family === 4 || bindToInterface(set, socket, 6, interfaceIndex)) &&
    bindToInterface(set, socket, 4, interfaceIndex);
}

/** @returns the port that the socket then has. */
function bindAny(
  { call }: Ws2,
  descriptor: number,
  family: 4 | 6,
  port: number,
): number {
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const any = new Int32Array(4);
  const length = writeSocketAddress(address, 0, family, any, 0, port);
  if (call.bind(descriptor, address, length) !== 0) {
    const cause = new Win32Error("bind", call.WSAGetLastError());
    const taken = cause.code === WSA.EADDRINUSE || cause.code === WSA.EACCES;
    throw taken ? new PortInUseError(port, { cause }) : cause;
  }
  const room = new Uint8Array(new Int32Array([address.length]).buffer);
  if (call.getsockname(descriptor, address, room) !== 0) {
    throw new Win32Error("getsockname", call.WSAGetLastError());
  }
  return readSocketPort(address, 0);
}

const CONTROL_ROOM = controlSpace(4) + 2 * controlSpace(in6Pktinfo.size);

class WindowsTunnelSocket implements TunnelSocket {
  readonly descriptor: number;
  readonly port: number;
  readonly #queue: TunnelSocketQueue;
  readonly #sources: TunnelSocketSources | undefined;
  readonly #receiver: MessageReceiver;
  readonly #trains: ReceivedTrains;
  readonly #start: number;
  readonly #end: number;
  /** Rows that one message may take. */
  readonly #rows: number;
  readonly #remote = new Int32Array(4);
  readonly #local = new Int32Array(4);

  constructor(ws2: Ws2, attachment: TunnelSocketAttachment) {
    const { descriptor, bytes, receiveArea, family } = attachment;
    this.descriptor = descriptor;
    this.port = attachment.port;
    this.#sources = attachment.sources === undefined
      ? undefined
      : new TunnelSocketSources(attachment.sources);
    this.#queue = new TunnelSocketQueue(ws2, {
      descriptor,
      family,
      bytes,
      sources: this.#sources,
    });
    const trains = receivesTrains(ws2, descriptor);
    this.#rows = trains ? TRAIN_ROWS : 1;
    this.#trains = new ReceivedTrains(ws2);
    this.#receiver = new MessageReceiver(ws2, {
      bytes,
      controlRoom: trains || this.#sources !== undefined ? CONTROL_ROOM : 0,
    });
    this.#start = (receiveArea.start + 63) & ~63;
    this.#end = receiveArea.end;
  }

  receive(batch: Batch): number {
    const before = batch.count;
    const limit = batch.capacity - (batch.capacity >> 3) - this.#rows;
    let at = this.#start;
    let errors = 0;
    // Each message may be a whole train: never take one that finds no rows.
    while (batch.count <= limit && at + DATAGRAM_BYTES <= this.#end) {
      const length = this.#receiver.receive(this.descriptor, at);
      if (length >= 0) {
        this.#take(batch, at, length);
        at += (length + 63) & ~63;
      } else if (
        length === NotReceived.Nothing || ++errors === MAX_ERRORS
      ) break;
    }
    return batch.count - before;
  }

  queue(
    at: number,
    length: number,
    words: Int32Array,
    i: number,
    port: number,
  ): void {
    this.#queue.push(at, length, words, i, port);
  }

  flush(): number {
    return this.#queue.flush();
  }

  [Symbol.dispose](): void {}

  /** Makes rows of a message. */
  #take(batch: Batch, start: number, length: number): void {
    const { block } = this.#receiver;
    const remote = this.#remote;
    const port = block.readSource(remote, 0);
    const segment = this.#trains
      .datagramLength(block, this.descriptor, length);
    if (this.#sources !== undefined && this.#readLocal()) {
      this.#sources.learn(remote, 0, port, this.#local, 0);
    }
    const end = start + length;
    // An empty datagram is a row as well: it counts as «not WireGuard».
    let at = start;
    do {
      const rest = end - at;
      const row = batch.push(at, rest < segment ? rest : segment, -1);
      if (row < 0) return;
      batch.remote[row * 4] = remote[0];
      batch.remote[row * 4 + 1] = remote[1];
      batch.remote[row * 4 + 2] = remote[2];
      batch.remote[row * 4 + 3] = remote[3];
      batch.remotePort[row] = port;
      at += segment;
    } while (at < end);
  }

  /**
   * Reads the address that a message was sent to; a dual-stack socket tells it
   * in the form of the datagram's family. @returns whether it is known.
   */
  #readLocal(): boolean {
    const { block } = this.#receiver;
    const local = this.#local;
    const at4 = block.findControl(IPPROTO.IP, IP.PKTINFO);
    if (at4 >= 0) {
      local[0] = 0;
      local[1] = 0;
      local[2] = 0xffff;
      local[3] = readU32be(block.bytes, at4 + inPktinfo.at.ipi_addr);
      return true;
    }
    const at6 = block.findControl(IPPROTO.IPV6, IPV6.PKTINFO);
    if (at6 < 0) return false;
    for (let w = 0; w < 4; w++) {
      local[w] = readU32be(block.bytes, at6 + w * 4);
    }
    return true;
  }
}
