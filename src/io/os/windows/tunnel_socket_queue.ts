/**
 * Messages that wait to leave through the tunnel's socket: each with its
 * destination, and with the source address that the remote knows. A source that
 * the system refuses (the host has lost the address) is left to the system.
 */
import {
  in6Pktinfo,
  inPktinfo,
} from "../../../../ffi/windows/layouts/ws2_32.ts";
import { IP, IPPROTO, IPV6, type Ws2 } from "../../../../ffi/windows/ws2_32.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import { writeU32be, writeU32le } from "../../../core/wire/bytes.ts";
import { SocketError } from "../../ports/stream_sockets.ts";
import type { TunnelSocketSources } from "../shared/tunnel_socket_sources.ts";
import { controlSpace, type MessageBlock } from "./message_block.ts";
import { MessageTrains, type TrainOwner } from "./message_trains.ts";
import { sendsTrains } from "./udp_trains.ts";

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

  constructor(ws2: Ws2, options: TunnelSocketQueueOptions) {
    this.#descriptor = options.descriptor;
    this.#family = options.family;
    this.#sources = options.sources;
    this.#trains = new MessageTrains(ws2, this, {
      bytes: options.bytes,
      capacity: CAPACITY,
      controlRoom: controlSpace(in6Pktinfo.size),
      trains: sendsTrains(ws2, options.descriptor),
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
  writeHead(block: MessageBlock, destination: number, at: number): number {
    const words = this.#words;
    const local = this.#local;
    const i = destination * 4;
    const port = this.#port[destination];
    block.setDestination(this.#family, words, i, port);
    const sources = this.#sources;
    return sources !== undefined && sources.find(words, i, port, local, 0)
      ? this.#putSource(block, at)
      : at;
  }

  /** Takes a message's source away, where the system may have refused that. */
  relieve(message: number, error: number): boolean {
    const sources = this.#sources;
    if (sources === undefined || !mayBeSource(error)) return false;
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

  #putSource(block: MessageBlock, at: number): number {
    const { bytes } = block;
    const local = this.#local;
    if (isMappedIpv4(local)) {
      const data = block.putControl(at, IPPROTO.IP, IP.PKTINFO, inPktinfo.size);
      writeU32be(bytes, data + inPktinfo.at.ipi_addr, local[3]);
      writeU32le(bytes, data + inPktinfo.at.ipi_ifindex, 0);
      return at + controlSpace(inPktinfo.size);
    }
    const { size } = in6Pktinfo;
    const data = block.putControl(at, IPPROTO.IPV6, IPV6.PKTINFO, size);
    for (let w = 0; w < 4; w++) writeU32be(bytes, data + w * 4, local[w]);
    writeU32le(bytes, data + in6Pktinfo.at.ipi6_ifindex, 0);
    return at + controlSpace(size);
  }
}

function mayBeSource(error: number): boolean {
  switch (error) {
    case SocketError.Invalid:
    case SocketError.AddressNotAvailable:
    case SocketError.NetworkUnreachable:
    case SocketError.HostUnreachable:
      return true;
    default:
      return false;
  }
}
