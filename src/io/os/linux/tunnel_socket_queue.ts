/**
 * Messages that wait to leave through the tunnel's socket: each with its
 * destination, and with the source address that the remote knows. A source that
 * the system refuses (the host has lost the address) is left to the system.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { in6Pktinfo, inPktinfo } from "../../../../ffi/linux_layouts.ts";
import {
  ERRNO,
  IP,
  IPPROTO,
  IPV6,
} from "../../../../ffi/linux_socket_constants.ts";
import { writeU32be, writeU32le } from "../../../core/wire/bytes.ts";
import { MessageTrains, type TrainOwner } from "./message_trains.ts";
import { controlSpace, type MessageVector } from "./message_vector.ts";
import type { TunnelSocketSources } from "../shared/tunnel_socket_sources.ts";

/** Messages that can wait; one more sends those before it. */
const CAPACITY = 512;
/** How long to wait for a full socket to take more, and how often. */
const FULL_WAIT_MS = 10;
const FULL_WAITS = 5;

/** What a queue sends through. */
export interface TunnelSocketQueueOptions {
  readonly descriptor: number;
  readonly family: 4 | 6;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sources: TunnelSocketSources | undefined;
  /** Whether the kernel knows UDP_SEGMENT. */
  readonly trains: "tried" | "never";
}

/** Queues and sends messages. */
export class TunnelSocketQueue implements TrainOwner {
  readonly #descriptor: number;
  readonly #family: 4 | 6;
  readonly #sources: TunnelSocketSources | undefined;
  readonly #trains: MessageTrains;
  readonly #destination = new Int32Array(CAPACITY);
  readonly #words = new Int32Array(CAPACITY * 4);
  readonly #port = new Int32Array(CAPACITY);
  readonly #local = new Int32Array(4);
  #destinations = 0;
  /** The message that goes without its source, or -1. */
  #sourceless = -1;
  #failed = 0;

  constructor(libc: Libc, options: TunnelSocketQueueOptions) {
    this.#descriptor = options.descriptor;
    this.#family = options.family;
    this.#sources = options.sources;
    this.#trains = new MessageTrains(libc, this, {
      bytes: options.bytes,
      capacity: CAPACITY,
      controlRoom: controlSpace(in6Pktinfo.size),
      trains: options.trains,
      fullWaitMs: FULL_WAIT_MS,
      fullWaits: FULL_WAITS,
    });
  }

  /** Queues a message; the bytes must stay until {@linkcode flush}. */
  push(
    at: number,
    length: number,
    words: Int32Array,
    i: number,
    port: number,
  ): void {
    if (this.#trains.count === CAPACITY) this.#send();
    const last = this.#destinations - 1;
    const known = this.#words;
    const k = last * 4;
    let destination = last;
    if (
      last < 0 || this.#port[last] !== port || known[k + 3] !== words[i + 3] ||
      known[k + 2] !== words[i + 2] || known[k + 1] !== words[i + 1] ||
      known[k] !== words[i]
    ) {
      destination = this.#destinations++;
      for (let w = 0; w < 4; w++) known[destination * 4 + w] = words[i + w];
      this.#port[destination] = port;
    }
    const message = this.#trains.add(at, length, destination);
    this.#destination[message] = destination;
  }

  /** Sends what waits. @returns messages that failed since the last call. */
  flush(): number {
    if (this.#trains.count > 0) this.#send();
    const failed = this.#failed;
    this.#failed = 0;
    return failed;
  }

  /** Gives a train its destination and its source. */
  writeHead(
    vector: MessageVector,
    train: number,
    destination: number,
    at: number,
  ): number {
    const words = this.#words;
    const local = this.#local;
    const i = destination * 4;
    const port = this.#port[destination];
    vector.setDestination(train, this.#family, words, i, port);
    const sources = this.#sources;
    return sources !== undefined && sources.find(words, i, port, local, 0)
      ? this.#putSource(vector, at)
      : at;
  }

  /** Takes a message's source away, where the system may have refused that. */
  relieve(message: number, errno: number): boolean {
    const sources = this.#sources;
    if (
      sources === undefined ||
      (errno !== ERRNO.EINVAL && errno !== ERRNO.ENETUNREACH)
    ) return false;
    const destination = this.#destination[message];
    const port = this.#port[destination];
    const words = this.#words;
    const at = destination * 4;
    if (!sources.find(words, at, port, this.#local, 0)) return false;
    sources.refuse(words, at, port);
    this.#sourceless = message;
    return true;
  }

  /** Counts a message; where it went without its source, that was not the reason. */
  failed(message: number): void {
    this.#failed++;
    if (this.#sourceless !== message) return;
    const destination = this.#destination[message];
    this.#sources?.allow(this.#words, destination * 4, this.#port[destination]);
  }

  #send(): void {
    this.#sourceless = -1;
    this.#trains.send(this.#descriptor);
    this.#destinations = 0;
  }

  #putSource(vector: MessageVector, at: number): number {
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
