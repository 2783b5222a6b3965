/**
 * The UDP socket that carries tunnel messages: one dual-stack socket, opened by
 * one thread, used by all. Received trains (UDP_GRO) lie whole in one slot of
 * the worker's area; each of their datagrams becomes a row. Sending is
 * {@linkcode TunnelSocketQueue}. Source: udp(7), ip(7), ipv6(7).
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { in6Pktinfo, inPktinfo } from "../../../../ffi/linux_layouts.ts";
import {
  AF,
  ERRNO,
  IP,
  IP_PMTUDISC,
  IPPROTO,
  IPV6,
  SO,
  SOCK,
  SOL,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { readU32be } from "../../../core/wire/bytes.ts";
import {
  type OpenedTunnelSocket,
  PortInUseError,
  type TunnelSocket,
  type TunnelSocketAttachment,
  type TunnelSocketOptions,
} from "../../ports.ts";
import { controlSpace } from "./message_vector.ts";
import { ReceiveSlots, TRAIN_ROWS } from "./receive_slots.ts";
import {
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "./socket_address.ts";
import { SocketOptions } from "./socket_option.ts";
import { TunnelSocketQueue } from "./tunnel_socket_queue.ts";
import { TunnelSocketSources } from "../shared/tunnel_socket_sources.ts";

/** What the socket may hold while its worker is busy. */
const BUFFER_BYTES = 7 << 20;

/**
 * Opens and binds the socket; 64 KiB datagrams, trains where the system has them.
 * @throws {PortInUseError} where another program has the port.
 * @throws {LibcError} where anything else fails.
 */
export function openTunnelSocket(
  libc: Libc,
  options: TunnelSocketOptions,
): OpenedTunnelSocket {
  const { descriptor, family } = openEitherFamily(libc);
  try {
    configure(libc, descriptor, family, options);
    const port = bindAny(libc, descriptor, family, options.port);
    return {
      descriptor,
      port,
      family,
      sources: options.source === "sticky"
        ? new SharedArrayBuffer(TunnelSocketSources.BYTE_LENGTH)
        : undefined,
      leaveBy: (index) =>
        new SocketOptions(libc)
          .set(descriptor, SOL.SOCKET, SO.BINDTOIFINDEX, index),
      [Symbol.dispose]: () => void libc.call.close(descriptor),
    };
  } catch (error) {
    libc.call.close(descriptor);
    throw error;
  }
}

/** Uses the socket in one worker; disposing of it leaves the socket open. */
export function attachTunnelSocket(
  libc: Libc,
  attachment: TunnelSocketAttachment,
): TunnelSocket {
  return new LinuxTunnelSocket(libc, attachment);
}

function openEitherFamily(
  libc: Libc,
): { descriptor: number; family: 4 | 6 } {
  const type = SOCK.DGRAM | SOCK.CLOEXEC;
  const v6 = libc.call.socket(AF.INET6, type, 0);
  if (v6 >= 0) return { descriptor: v6, family: 6 };
  if (libc.errno() !== ERRNO.EAFNOSUPPORT) throw libc.error("socket");
  const v4 = libc.call.socket(AF.INET, type, 0);
  if (v4 < 0) throw libc.error("socket");
  return { descriptor: v4, family: 4 };
}

function configure(
  libc: Libc,
  descriptor: number,
  family: 4 | 6,
  options: TunnelSocketOptions,
): void {
  const socket = new SocketOptions(libc);
  socket.setBuffer(descriptor, "receive", BUFFER_BYTES);
  socket.setBuffer(descriptor, "send", BUFFER_BYTES);
  if (family === 6 && !socket.set(descriptor, IPPROTO.IPV6, IPV6.V6ONLY, 0)) {
    throw libc.error("setsockopt(IPV6_V6ONLY)");
  }
  // As in the kernel's WireGuard, routers may fragment: a tunnel without it
  // would stop where ICMP is lost.
  socket.set(descriptor, IPPROTO.IP, IP.MTU_DISCOVER, IP_PMTUDISC.DONT);
  socket.set(descriptor, IPPROTO.UDP, UDP.GRO, 1);
  if (options.source === "sticky") {
    if (family === 6) {
      socket.set(descriptor, IPPROTO.IPV6, IPV6.RECVPKTINFO, 1);
    } else socket.set(descriptor, IPPROTO.IP, IP.PKTINFO, 1);
  }
  if (
    options.fwmark !== undefined &&
    !socket.set(descriptor, SOL.SOCKET, SO.MARK, options.fwmark)
  ) throw libc.error("setsockopt(SO_MARK)");
  if (
    options.interfaceIndex !== undefined &&
    !socket.set(
      descriptor,
      SOL.SOCKET,
      SO.BINDTOIFINDEX,
      options.interfaceIndex,
    )
  ) throw libc.error("setsockopt(SO_BINDTOIFINDEX)");
}

/** @returns the port that the socket then has. */
function bindAny(
  libc: Libc,
  descriptor: number,
  family: 4 | 6,
  port: number,
): number {
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const any = new Int32Array(4);
  const length = writeSocketAddress(address, 0, family, any, 0, port);
  if (libc.call.bind(descriptor, address, length) !== 0) {
    const cause = libc.error("bind");
    throw cause.code === ERRNO.EADDRINUSE
      ? new PortInUseError(port, { cause })
      : cause;
  }
  const room = new Uint8Array(new Uint32Array([address.length]).buffer);
  if (libc.call.getsockname(descriptor, address, room) !== 0) {
    throw libc.error("getsockname");
  }
  return readSocketPort(address, 0);
}

const CONTROL_ROOM = controlSpace(4) + controlSpace(in6Pktinfo.size);

class LinuxTunnelSocket implements TunnelSocket {
  readonly descriptor: number;
  readonly port: number;
  readonly #queue: TunnelSocketQueue;
  readonly #sources: TunnelSocketSources | undefined;
  readonly #family: 4 | 6;
  readonly #slots: ReceiveSlots;
  readonly #remote = new Int32Array(4);
  readonly #local = new Int32Array(4);

  constructor(libc: Libc, attachment: TunnelSocketAttachment) {
    const { descriptor, bytes, receiveArea, family } = attachment;
    this.descriptor = descriptor;
    this.port = attachment.port;
    this.#family = family;
    this.#sources = attachment.sources === undefined
      ? undefined
      : new TunnelSocketSources(attachment.sources);
    const segment = new SocketOptions(libc)
      .get(descriptor, IPPROTO.UDP, UDP.SEGMENT);
    this.#queue = new TunnelSocketQueue(libc, {
      descriptor,
      family,
      bytes,
      sources: this.#sources,
      trains: segment < 0 ? "never" : "tried",
    });
    this.#slots = new ReceiveSlots(libc, {
      bytes,
      area: receiveArea,
      headroom: 0,
      room: 0,
      controlRoom: CONTROL_ROOM,
    });
  }

  receive(batch: Batch): number {
    const slots = this.#slots;
    const before = batch.count;
    const limit = batch.capacity - (batch.capacity >> 3);
    let slot = 0;
    while (slot < slots.count) {
      // Each message may be a whole train: never take one that finds no rows.
      const wanted = Math.min(
        slots.count - slot,
        Math.floor((limit - batch.count) / TRAIN_ROWS),
      );
      if (wanted <= 0) break;
      const received = slots.receive(this.descriptor, slot, wanted);
      for (let i = slot; i < slot + received; i++) this.#take(batch, i);
      slot += received;
      if (received < wanted) break;
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

  /** Makes rows of what lies in a slot. */
  #take(batch: Batch, slot: number): void {
    const { vector } = this.#slots;
    const remote = this.#remote;
    const port = vector.readSource(slot, remote, 0);
    const length = vector.length(slot);
    const segment = vector.control32(slot, IPPROTO.UDP, UDP.GRO, length);
    if (this.#sources !== undefined && this.#readLocal(slot)) {
      this.#sources.learn(remote, 0, port, this.#local, 0);
    }
    this.#slots.release(slot);
    const start = this.#slots.at(slot);
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

  /** Reads the address that a message was sent to. @returns whether it is known. */
  #readLocal(slot: number): boolean {
    const { vector } = this.#slots;
    const local = this.#local;
    if (this.#family === 4) {
      const at = vector.findControl(slot, IPPROTO.IP, IP.PKTINFO);
      if (at < 0) return false;
      local[0] = 0;
      local[1] = 0;
      local[2] = 0xffff;
      local[3] = readU32be(vector.bytes, at + inPktinfo.at.ipi_spec_dst);
      return true;
    }
    const at = vector.findControl(slot, IPPROTO.IPV6, IPV6.PKTINFO);
    if (at < 0) return false;
    for (let w = 0; w < 4; w++) {
      local[w] = readU32be(vector.bytes, at + w * 4);
    }
    return true;
  }
}
