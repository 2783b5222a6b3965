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
import { TunnelDestinations } from "../shared/tunnel_destinations.ts";
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
  readonly #trains: MessageTrains;
  readonly #destinations: TunnelDestinations;

  constructor(libc: Libc, options: TunnelSocketQueueOptions) {
    this.#descriptor = options.descriptor;
    this.#family = options.family;
    this.#destinations = new TunnelDestinations(CAPACITY, options.sources);
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
    const destinations = this.#destinations;
    const destination = destinations.of(words, i, port);
    destinations.note(this.#trains.add(at, length, destination), destination);
  }

  /** Sends what waits. @returns messages that failed since the last call. */
  flush(): number {
    if (this.#trains.count > 0) this.#send();
    return this.#destinations.takeFailed();
  }

  /** Gives a train its destination and its source. */
  writeHead(
    vector: MessageVector,
    train: number,
    destination: number,
    at: number,
  ): number {
    const destinations = this.#destinations;
    const { words, port } = destinations;
    vector.setDestination(
      train,
      this.#family,
      words,
      destination * 4,
      port[destination],
    );
    return destinations.findSource(destination)
      ? this.#putSource(vector, at)
      : at;
  }

  /** Takes a message's source away, where the system may have refused that. */
  relieve(message: number, errno: number): boolean {
    return (errno === ERRNO.EINVAL || errno === ERRNO.ENETUNREACH) &&
      this.#destinations.refuseSource(message);
  }

  /** Counts a message. */
  failed(message: number): void {
    this.#destinations.fail(message);
  }

  #send(): void {
    this.#destinations.begin();
    this.#trains.send(this.#descriptor);
    this.#destinations.clear();
  }

  #putSource(vector: MessageVector, at: number): number {
    const bytes = vector.bytes;
    const local = this.#destinations.source;
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
