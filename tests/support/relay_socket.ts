/** A UDP socket of the relay: datagrams by the batch, many in one system call. */
import type { Libc } from "../../ffi/libc.ts";
import { AF, ERRNO, MSG, SOCK } from "../../ffi/linux_socket_constants.ts";
import { parseEndpoint } from "../../src/core/wire/address.ts";
import { MessageVector } from "../../src/io/os/linux/message_vector.ts";
import {
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "../../src/io/os/linux/socket_address.ts";
import { SocketOptions } from "../../src/io/os/linux/socket_option.ts";

/** Datagrams received or sent by one call. */
export const BATCH = 64;
/** Bytes kept of a datagram. */
export const DATAGRAM_ROOM = 2048;
const BUFFER_BYTES = 4 << 20;

/** An IPv4 UDP socket. */
export class RelaySocket {
  readonly descriptor: number;
  readonly #libc: Libc;
  readonly #inArena = new Uint8Array(BATCH * DATAGRAM_ROOM);
  readonly #outArena = new Uint8Array(BATCH * DATAGRAM_ROOM);
  readonly #in = vector(this.#inArena);
  readonly #out = vector(this.#outArena);
  /** Where datagrams go: whom it is connected to, or who wrote last. */
  readonly #remote = new Int32Array(4);
  #remotePort = 0;
  #connected = false;

  /** Opens it at "ADDRESS:PORT"; port 0 is any. */
  constructor(libc: Libc, local: string) {
    this.#libc = libc;
    this.descriptor = libc.call.socket(AF.INET, SOCK.DGRAM | SOCK.NONBLOCK, 0);
    if (this.descriptor < 0) throw libc.error("socket");
    const options = new SocketOptions(libc);
    options.setBuffer(this.descriptor, "receive", BUFFER_BYTES);
    options.setBuffer(this.descriptor, "send", BUFFER_BYTES);
    const { address, length } = socketAddress(local);
    if (libc.call.bind(this.descriptor, address, length) < 0) {
      throw libc.error(`bind ${local}`);
    }
    for (let i = 0; i < BATCH; i++) {
      this.#in.setPiece(i, i * DATAGRAM_ROOM, DATAGRAM_ROOM);
      this.#in.setPieces(i, i, 1);
      this.#out.setPieces(i, i, 1);
    }
  }

  /** Talks with this one only from now on. */
  connect(remote: string): void {
    const { address, length } = socketAddress(remote);
    if (this.#libc.call.connect(this.descriptor, address, length) < 0) {
      throw this.#libc.error(`connect ${remote}`);
    }
    this.#connected = true;
  }

  /** Appends what has come, at most a batch; valid until the next call. */
  receive(into: Uint8Array[]): number {
    for (let i = 0; i < BATCH; i++) {
      this.#in.setRooms(i, SOCKET_ADDRESS_ROOM, 0);
    }
    const received = this.#libc.call.recvmmsg(
      this.descriptor,
      this.#in.from(0),
      BATCH,
      MSG.DONTWAIT,
      null,
    );
    for (let i = 0; i < received; i++) {
      const at = i * DATAGRAM_ROOM;
      into.push(this.#inArena.subarray(at, at + this.#in.length(i)));
    }
    if (received > 0 && !this.#connected) {
      this.#remotePort = this.#in.readSource(received - 1, this.#remote, 0);
    }
    return received;
  }

  /** Sends datagrams in order. What the system has no room for is lost. */
  send(datagrams: readonly Uint8Array[]): void {
    if (!this.#connected && this.#remotePort === 0) return;
    for (let first = 0; first < datagrams.length; first += BATCH) {
      const count = Math.min(BATCH, datagrams.length - first);
      for (let i = 0; i < count; i++) this.#place(i, datagrams[first + i]);
      this.#sendBatch(count);
    }
  }

  #place(i: number, datagram: Uint8Array): void {
    const at = i * DATAGRAM_ROOM;
    this.#outArena.set(datagram, at);
    this.#out.setPiece(i, at, datagram.length);
    this.#out.setRooms(i, 0, 0);
    if (this.#connected) return;
    this.#out.setDestination(i, 4, this.#remote, 0, this.#remotePort);
  }

  #sendBatch(count: number): void {
    let sent = 0;
    while (sent < count) {
      const result = this.#libc.call.sendmmsg(
        this.descriptor,
        this.#out.from(sent),
        count - sent,
        0,
      );
      if (result > 0) sent += result;
      else if (this.#libc.errno() === ERRNO.EAGAIN) return;
      else sent++; // an ICMP error about an earlier one
    }
  }
}

function vector(bytes: Uint8Array<ArrayBuffer>): MessageVector {
  return new MessageVector({
    bytes,
    capacity: BATCH,
    pieces: BATCH,
    controlRoom: 0,
  });
}

function socketAddress(text: string) {
  const endpoint = parseEndpoint(text);
  if (endpoint === undefined) throw new SyntaxError(`no endpoint: ${text}`);
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const words = Int32Array.from(endpoint.words);
  return {
    address,
    length: writeSocketAddress(address, 0, 4, words, 0, endpoint.port),
  };
}
