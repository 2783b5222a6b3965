/**
 * Receiving at outside sockets. A train lies without gaps; its datagrams are
 * moved apart, from the last to the first, so that each has room for the headers
 * that it gets and for its seal:
 *
 *     received   | headroom | aaaabbbbcc                                 |
 *     rows       | headroom | aaaa | 64 | headroom | bbbb | 64 | ...
 *
 * The area is filled from behind the last row of the batch that lies in it, so
 * one batch can gather from many sockets.
 */
import { IP, IPPROTO, IPV6 } from "../../../../ffi/windows/ws2_32.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import {
  HEADER_LENGTH as ICMP_HEADER_LENGTH,
  Type as IcmpType,
} from "../../../core/wire/icmp.ts";
import { Type as Icmpv6Type } from "../../../core/wire/icmpv6.ts";
import { headerLength, timeToLive } from "../../../core/wire/ipv4.ts";
import type { Area, OutsideShared } from "../../ports.ts";
import { pushReceived, rowLimit } from "../shared/received_rows.ts";
import { controlSpace } from "./message_block.ts";
import {
  DATAGRAM_BYTES,
  MessageReceiver,
  NotReceived,
} from "./message_receiver.ts";
import type { SocketLibraries } from "./socket_libraries.ts";
import { ReceivedTrains, receivesTrains, TRAIN_ROWS } from "./udp_trains.ts";

/** Writable bytes behind each row. */
const TAILROOM = 64;
/** ICMP messages that one call looks at. */
const MAX_ECHOES = 64;
/** Errors that are passed over in one call, so that it ends. */
const MAX_ERRORS = 64;
const CONTROL_ROOM = 3 * controlSpace(4);

/** Receives at the sockets of NAT rows and at the raw echo sockets. */
export class OutsideReceiver {
  readonly #libraries: SocketLibraries;
  readonly #shared: OutsideShared;
  readonly #receiver: MessageReceiver;
  readonly #trains: ReceivedTrains;
  readonly #start: number;
  readonly #end: number;
  readonly #headroom: number;
  /** Rows that one message may take; 0: not asked yet. */
  #rows = 0;
  readonly #remote = new Int32Array(4);

  /**
   * @param options.area where datagrams go.
   * @param options.headroom writable bytes before each row.
   */
  constructor(
    libraries: SocketLibraries,
    options: {
      shared: OutsideShared;
      bytes: Uint8Array<ArrayBuffer>;
      area: Area;
      headroom: number;
    },
  ) {
    this.#libraries = libraries;
    this.#shared = options.shared;
    this.#headroom = options.headroom;
    this.#start = (options.area.start + 63) & ~63;
    this.#end = options.area.end;
    this.#trains = new ReceivedTrains(libraries.ws2);
    this.#receiver = new MessageReceiver(libraries.ws2, {
      bytes: options.bytes,
      controlRoom: CONTROL_ROOM,
    });
  }

  /** Reads what waits at a mapping's socket. @returns rows added. */
  receive(natRow: number, socket: number, batch: Batch): number {
    const before = batch.count;
    const rows = this.#rowsOf(socket);
    const room = this.#headroom + DATAGRAM_BYTES +
      rows * (this.#headroom + TAILROOM);
    let at = this.#free(batch);
    let errors = 0;
    // Each message may be a whole train: never take one that finds no rows.
    while (batch.count + rows <= rowLimit(batch) && at + room <= this.#end) {
      const length = this.#receiver.receive(socket, at + this.#headroom);
      if (length >= 0) {
        this.#take(batch, socket, at + this.#headroom, length, natRow);
        at = this.#free(batch);
      } else if (
        length === NotReceived.Nothing || ++errors === MAX_ERRORS
      ) break;
    }
    return batch.count - before;
  }

  /** Reads what waits at the raw echo sockets. @returns rows added. */
  receiveEcho(batch: Batch): number {
    const before = batch.count;
    const { raw4, raw6 } = this.#shared;
    if (raw4 >= 0) this.#receiveEcho(batch, raw4, 4);
    if (raw6 >= 0) this.#receiveEcho(batch, raw6, 6);
    return batch.count - before;
  }

  /** A raw IPv4 socket gives the IP header along. */
  #receiveEcho(batch: Batch, socket: number, family: 4 | 6): void {
    const room = this.#headroom + DATAGRAM_BYTES + TAILROOM;
    const reply = family === 4 ? IcmpType.EchoReply : Icmpv6Type.EchoReply;
    for (let seen = 0; seen < MAX_ECHOES; seen++) {
      const at = this.#free(batch);
      if (batch.count >= rowLimit(batch) || at + room > this.#end) return;
      const start = at + this.#headroom;
      const length = this.#receiver.receive(socket, start);
      if (length === NotReceived.Nothing) return;
      if (length < 0) continue;
      const header = family === 4 ? headerLength(batch.bytes, start) : 0;
      if (
        length - header < ICMP_HEADER_LENGTH ||
        batch.bytes[start + header] !== reply
      ) continue;
      const hopLimit = family === 4
        ? timeToLive(batch.bytes, start)
        : this.#hopLimit();
      this.#receiver.block.readSource(this.#remote, 0);
      this.#push(batch, start + header, length - header, -1, 0, hopLimit);
    }
  }

  /** Makes rows of a message. */
  #take(
    batch: Batch,
    socket: number,
    at: number,
    length: number,
    natRow: number,
  ): void {
    const { block } = this.#receiver;
    const gap = this.#headroom + TAILROOM;
    const size = this.#trains.datagramLength(block, socket, length);
    const port = block.readSource(this.#remote, 0);
    const hopLimit = this.#hopLimit();
    if (size >= length) {
      this.#push(batch, at, length, natRow, port, hopLimit);
      return;
    }
    // What is behind so many datagrams is lost, as it has no rows.
    const last = Math.min(Math.ceil(length / size), TRAIN_ROWS) - 1;
    for (let i = last; i > 0; i--) {
      const from = at + i * size;
      const end = Math.min(from + size, at + length);
      batch.bytes.copyWithin(from + i * gap, from, end);
    }
    for (let i = 0; i <= last; i++) {
      const own = Math.min(size, length - i * size);
      this.#push(batch, at + i * (size + gap), own, natRow, port, hopLimit);
    }
  }

  /** Adds a row that came from `#remote`. */
  #push(
    batch: Batch,
    at: number,
    length: number,
    natRow: number,
    port: number,
    hopLimit: number,
  ): void {
    const row = pushReceived(batch, at, length, this.#remote, port);
    if (row < 0) return;
    batch.target[row] = natRow;
    batch.hopLimit[row] = hopLimit;
  }

  #hopLimit(): number {
    const { block } = this.#receiver;
    return block.control32(IPPROTO.IP, IP.TTL, 0) ||
      block.control32(IPPROTO.IP, IP.HOPLIMIT, 0) ||
      block.control32(IPPROTO.IPV6, IPV6.HOPLIMIT, 0);
  }

  /** All mappings' sockets are alike. */
  #rowsOf(socket: number): number {
    if (this.#rows === 0) {
      const trains = receivesTrains(this.#libraries.ws2, socket);
      this.#rows = trains ? TRAIN_ROWS : 1;
    }
    return this.#rows;
  }

  /** The first place behind all that rows of the batch lie in. */
  #free(batch: Batch): number {
    const { offset, length } = batch;
    // The area is filled in order, and rows stay in their order.
    for (let row = batch.count - 1; row >= 0; row--) {
      const at = offset[row];
      if (at < this.#start || at >= this.#end) continue;
      return (at + length[row] + TAILROOM + 63) & ~63;
    }
    return this.#start;
  }
}
