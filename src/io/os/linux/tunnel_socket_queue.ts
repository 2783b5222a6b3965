/**
 * Messages that wait to leave through the tunnel's socket, and how they leave.
 *
 * Neighbours to one destination with equal sizes become one train (UDP_SEGMENT,
 * «GSO»: the kernel takes them through its layers once and splits them last);
 * its last message may be shorter. All trains go out by one sendmmsg.
 *
 *     message   0    1    2   | 3   | 4    5       columns at, length, destination
 *     train     0             | 1   | 2            one mmsghdr; end[0] = 3
 *
 * Where the kernel or the device cannot split (EIO), this socket goes on without
 * trains for good; where a path's MTU is too small for it (EINVAL, EMSGSIZE),
 * the train's messages leave one by one, and the kernel fragments them. Many
 * such failures in a row make it stop trying for a while.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  in6Pktinfo,
  inPktinfo,
  pollfd,
} from "../../../../ffi/linux_layouts.ts";
import {
  ERRNO,
  IP,
  IPPROTO,
  IPV6,
  MSG,
  POLL,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import { writeU32be, writeU32le } from "../../../core/wire/bytes.ts";
import { controlSpace, MessageVector } from "./message_vector.ts";
import type { TunnelSocketSources } from "./tunnel_socket_sources.ts";

/** Messages that can wait; one more sends those before it. */
const CAPACITY = 512;
/** Messages of a train: UDP_MAX_SEGMENTS of kernels before 6.9. */
const TRAIN_MESSAGES = 64;
/** Bytes of a train: one IP datagram, less the headers of either family. */
const TRAIN_BYTES = 65_000;
/** How long to wait for a full socket to take more, and how often. */
const FULL_WAIT_MS = 10;
const FULL_WAITS = 5;
/** Trains that may fail in a row before this socket goes without for a while. */
const TRAIN_FAILURES = 32;
/** How long that is, in sends. */
const PAUSED_SENDS = 1024;

/** What a queue sends through. */
export interface TunnelSocketQueueOptions {
  readonly descriptor: number;
  readonly family: 4 | 6;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sources: TunnelSocketSources | undefined;
  /** Whether the kernel knows UDP_SEGMENT. */
  readonly trains: "tried" | "never";
}

/** Joins and sends messages. */
export class TunnelSocketQueue {
  readonly #libc: Libc;
  readonly #descriptor: number;
  readonly #family: 4 | 6;
  readonly #sources: TunnelSocketSources | undefined;
  readonly #vector: MessageVector;
  readonly #at = new Int32Array(CAPACITY);
  readonly #length = new Int32Array(CAPACITY);
  readonly #destination = new Int32Array(CAPACITY);
  readonly #words = new Int32Array(CAPACITY * 4);
  readonly #port = new Int32Array(CAPACITY);
  readonly #local = new Int32Array(4);
  /** Per train, the message after its last one. */
  readonly #end = new Int32Array(CAPACITY);
  readonly #poll = new Uint8Array(pollfd.size);
  #count = 0;
  #destinations = 0;
  #trains: "tried" | "never";
  #trainFailures = 0;
  /** Sends left without trains. */
  #paused = 0;
  #failed = 0;

  constructor(libc: Libc, options: TunnelSocketQueueOptions) {
    this.#libc = libc;
    this.#descriptor = options.descriptor;
    this.#family = options.family;
    this.#sources = options.sources;
    this.#trains = options.trains;
    this.#vector = new MessageVector({
      bytes: options.bytes,
      capacity: CAPACITY,
      pieces: CAPACITY,
      controlRoom: controlSpace(2) + controlSpace(in6Pktinfo.size),
    });
    const poll = new Int32Array(this.#poll.buffer);
    poll[0] = options.descriptor;
    poll[1] = POLL.OUT;
  }

  /** Whether trains are still tried. */
  get sendsTrains(): boolean {
    return this.#trains === "tried";
  }

  /** Queues a message; the bytes must stay until {@linkcode flush}. */
  push(
    at: number,
    length: number,
    words: Int32Array,
    i: number,
    port: number,
  ): void {
    if (this.#count === CAPACITY) this.#send();
    const message = this.#count++;
    this.#at[message] = at;
    this.#length[message] = length;
    const last = this.#destinations - 1;
    const known = this.#words;
    const k = last * 4;
    if (
      last < 0 || this.#port[last] !== port || known[k + 3] !== words[i + 3] ||
      known[k + 2] !== words[i + 2] || known[k + 1] !== words[i + 1] ||
      known[k] !== words[i]
    ) {
      const next = this.#destinations++;
      for (let w = 0; w < 4; w++) known[next * 4 + w] = words[i + w];
      this.#port[next] = port;
      this.#destination[message] = next;
    } else {
      this.#destination[message] = last;
    }
  }

  /** Sends what waits. @returns messages that failed since the last call. */
  flush(): number {
    if (this.#count > 0) this.#send();
    const failed = this.#failed;
    this.#failed = 0;
    return failed;
  }

  #send(): void {
    const count = this.#count;
    const end = this.#end;
    if (this.#paused > 0) this.#paused--;
    let trains = this.#build(0, 0);
    let train = 0;
    let message = 0;
    let waits = 0;
    let retried = -1;
    let sourceless = -1;
    while (message < count) {
      const sent = this.#libc.call.sendmmsg(
        this.#descriptor,
        this.#vector.from(train),
        trains - train,
        MSG.DONTWAIT,
      );
      if (sent > 0) {
        train += sent;
        if (end[train - 1] - message > sent) this.#trainFailures = 0;
        message = end[train - 1];
        continue;
      }
      const errno = this.#libc.errno();
      if (errno === ERRNO.EINTR) continue;
      if (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS) {
        if (++waits <= FULL_WAITS) {
          this.#libc.call.poll(this.#poll, 1, FULL_WAIT_MS);
          continue;
        }
        this.#failed += count - message;
        break;
      }
      // Both kinds of special treatment are taken back before a message fails.
      if (this.#giveUpTrain(errno, end[train] - message)) {
        trains = this.#build(message, end[train]);
        train = 0;
      } else if (
        (errno === ERRNO.EINVAL || errno === ERRNO.ENETUNREACH) &&
        this.#giveUpSource(message)
      ) {
        sourceless = message;
        trains = this.#build(message, 0);
        train = 0;
      } else if (retried !== message) {
        // The error may belong to an earlier message (ICMP): this one was not tried.
        retried = message;
      } else {
        // The source was not the reason, then.
        if (sourceless === message) this.#restoreSource(message);
        this.#failed += end[train] - message;
        message = end[train];
        train++;
      }
    }
    this.#count = 0;
    this.#destinations = 0;
  }

  /** @returns whether the messages of a failed train are to be sent one by one. */
  #giveUpTrain(errno: number, messages: number): boolean {
    if (messages < 2) return false;
    if (errno === ERRNO.EIO) {
      this.#trains = "never";
      return true;
    }
    if (errno !== ERRNO.EINVAL && errno !== ERRNO.EMSGSIZE) return false;
    if (++this.#trainFailures === TRAIN_FAILURES) {
      this.#trainFailures = 0;
      this.#paused = PAUSED_SENDS;
    }
    return true;
  }

  /** @returns whether the message had a source that it now goes without. */
  #giveUpSource(message: number): boolean {
    const sources = this.#sources;
    if (sources === undefined) return false;
    const destination = this.#destination[message];
    const port = this.#port[destination];
    const words = this.#words;
    const at = destination * 4;
    if (!sources.find(words, at, port, this.#local, 0)) return false;
    sources.refuse(words, at, port);
    return true;
  }

  #restoreSource(message: number): void {
    const destination = this.#destination[message];
    this.#sources?.allow(this.#words, destination * 4, this.#port[destination]);
  }

  /**
   * Makes trains of the messages from `first` on; those before `singles` go
   * alone. @returns how many there are.
   */
  #build(first: number, singles: number): number {
    const count = this.#count;
    const destination = this.#destination;
    const length = this.#length;
    const at = this.#at;
    const vector = this.#vector;
    const joins = this.#trains === "tried" && this.#paused === 0;
    let train = 0;
    let piece = 0;
    let message = first;
    while (message < count) {
      const size = length[message];
      const firstPiece = piece;
      let pieceAt = at[message];
      let pieceLength = size;
      let total = size;
      let end = message + 1;
      if (joins && message >= singles && size > 0) {
        const limit = Math.min(count, message + TRAIN_MESSAGES);
        let next = size;
        while (
          end < limit && next === size && length[end] <= size &&
          destination[end] === destination[message] &&
          total + length[end] <= TRAIN_BYTES && length[end] > 0
        ) {
          next = length[end];
          total += next;
          if (at[end] === pieceAt + pieceLength) {
            pieceLength += next;
          } else {
            vector.setPiece(piece++, pieceAt, pieceLength);
            pieceAt = at[end];
            pieceLength = next;
          }
          end++;
        }
      }
      vector.setPiece(piece++, pieceAt, pieceLength);
      vector.setPieces(train, firstPiece, piece - firstPiece);
      this.#address(train, destination[message], end - message > 1 ? size : 0);
      this.#end[train++] = end;
      message = end;
    }
    return train;
  }

  /** Gives a train its destination, its source and the size of its messages. */
  #address(train: number, destination: number, size: number): void {
    const vector = this.#vector;
    const words = this.#words;
    const port = this.#port[destination];
    const local = this.#local;
    vector.setDestination(train, this.#family, words, destination * 4, port);
    const start = vector.controlAt(train);
    let at = start;
    if (size > 0) {
      at = vector.putControl16(at, IPPROTO.UDP, UDP.SEGMENT, size);
    }
    const sources = this.#sources;
    if (
      sources !== undefined &&
      sources.find(words, destination * 4, port, local, 0)
    ) at = this.#putSource(at);
    vector.setControlLength(train, at - start);
  }

  #putSource(at: number): number {
    const vector = this.#vector;
    const bytes = vector.bytes;
    const local = this.#local;
    if (this.#family === 4) {
      const data = vector.putControl(
        at,
        IPPROTO.IP,
        IP.PKTINFO,
        inPktinfo.size,
      );
      writeU32le(bytes, data + inPktinfo.at.ipi_ifindex, 0);
      writeU32be(bytes, data + inPktinfo.at.ipi_spec_dst, local[3]);
      writeU32be(bytes, data + inPktinfo.at.ipi_addr, 0);
      return at + controlSpace(inPktinfo.size);
    }
    const data = vector.putControl(
      at,
      IPPROTO.IPV6,
      IPV6.PKTINFO,
      in6Pktinfo.size,
    );
    for (let w = 0; w < 4; w++) writeU32be(bytes, data + w * 4, local[w]);
    writeU32le(bytes, data + in6Pktinfo.at.ipi6_ifindex, 0);
    return at + controlSpace(in6Pktinfo.size);
  }
}
