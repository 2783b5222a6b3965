/**
 * The UDP socket that carries tunnel messages, as a worker uses it. Datagrams lie one behind the other in the worker's
 * area; a train (UDP_RECV_MAX_COALESCED_SIZE) is one of them, and each of its
 * datagrams becomes a row. Sending is {@linkcode TunnelSocketQueue}.
 */
import {
  in6Pktinfo,
  inPktinfo,
} from "../../../../ffi/windows/layouts/ws2_32.ts";
import { IP, IPPROTO, IPV6, type Ws2 } from "../../../../ffi/windows/ws2_32.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { readU32be } from "../../../core/wire/bytes.ts";
import type { TunnelSocket, TunnelSocketAttachment } from "../../ports.ts";
import { TunnelSocketSources } from "../shared/tunnel_socket_sources.ts";
import { controlSpace } from "./message_block.ts";
import {
  DATAGRAM_BYTES,
  MessageReceiver,
  NotReceived,
} from "./message_receiver.ts";
import { TunnelSocketQueue } from "./tunnel_socket_queue.ts";
import { ReceivedTrains, receivesTrains, TRAIN_ROWS } from "./udp_trains.ts";

/** Errors that are passed over in one call, so that it ends. */
const MAX_ERRORS = 64;

/** Uses the socket in one worker; disposing of it leaves the socket open. */
export function attachTunnelSocket(
  ws2: Ws2,
  attachment: TunnelSocketAttachment,
): TunnelSocket {
  return new WindowsTunnelSocket(ws2, attachment);
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
