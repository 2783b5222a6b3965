/**
 * Receiving at the tunnel's socket on Windows. Datagrams lie one behind the
 * other in the worker's area; a train (UDP_RECV_MAX_COALESCED_SIZE) is one of
 * them, and each of its datagrams becomes a row.
 */
import {
  in6Pktinfo,
  inPktinfo,
} from "../../../../ffi/windows/layouts/ws2_32.ts";
import { IP, IPPROTO, IPV6, type Ws2 } from "../../../../ffi/windows/ws2_32.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { readWords, setMappedIpv4 } from "../../../core/wire/address.ts";
import { readU32be } from "../../../core/wire/bytes.ts";
import type { TunnelSocketAttachment } from "../../ports.ts";
import { pushTrain, rowLimit } from "../shared/received_rows.ts";
import type { TunnelSocketSources } from "../shared/tunnel_socket_sources.ts";
import { controlSpace } from "./message_block.ts";
import {
  DATAGRAM_BYTES,
  MessageReceiver,
  NotReceived,
} from "./message_receiver.ts";
import { ReceivedTrains, receivesTrains, TRAIN_ROWS } from "./udp_trains.ts";

/** Errors that are passed over in one call, so that it ends. */
const MAX_ERRORS = 64;
const CONTROL_ROOM = controlSpace(4) + 2 * controlSpace(in6Pktinfo.size);

/** Receives messages of the tunnel. */
export class TunnelReceiver {
  readonly #socket: number;
  readonly #sources: TunnelSocketSources | undefined;
  readonly #receiver: MessageReceiver;
  readonly #trains: ReceivedTrains;
  readonly #start: number;
  readonly #end: number;
  /** Rows that one message may take. */
  readonly #rows: number;
  readonly #remote = new Int32Array(4);
  readonly #local = new Int32Array(4);

  /** @param sources learns which address each remote wrote to */
  constructor(
    ws2: Ws2,
    attachment: TunnelSocketAttachment,
    sources: TunnelSocketSources | undefined,
  ) {
    const { descriptor, bytes, receiveArea } = attachment;
    this.#socket = descriptor;
    this.#sources = sources;
    const trains = receivesTrains(ws2, descriptor);
    this.#rows = trains ? TRAIN_ROWS : 1;
    this.#trains = new ReceivedTrains(ws2);
    this.#receiver = new MessageReceiver(ws2, {
      bytes,
      controlRoom: trains || sources !== undefined ? CONTROL_ROOM : 0,
    });
    this.#start = (receiveArea.start + 63) & ~63;
    this.#end = receiveArea.end;
  }

  /** Reads what is there into rows. @returns rows added. */
  receive(batch: Batch): number {
    const before = batch.count;
    const limit = rowLimit(batch) - this.#rows;
    let at = this.#start;
    let errors = 0;
    // Each message may be a whole train: never take one that finds no rows.
    while (batch.count <= limit && at + DATAGRAM_BYTES <= this.#end) {
      const length = this.#receiver.receive(this.#socket, at);
      if (length >= 0) {
        this.#take(batch, at, length);
        at += (length + 63) & ~63;
      } else if (
        length === NotReceived.Nothing || ++errors === MAX_ERRORS
      ) break;
    }
    return batch.count - before;
  }

  /** Makes rows of a message. */
  #take(batch: Batch, start: number, length: number): void {
    const { block } = this.#receiver;
    const remote = this.#remote;
    const port = block.readSource(remote, 0);
    const segment = this.#trains.datagramLength(block, this.#socket, length);
    if (this.#sources !== undefined && this.#readLocal()) {
      this.#sources.learn(remote, 0, port, this.#local, 0);
    }
    pushTrain(batch, start, length, segment, remote, port);
  }

  /**
   * Reads the address that a message was sent to; a dual-stack socket tells it
   * in the form of the datagram's family. @returns whether it is known.
   */
  #readLocal(): boolean {
    const { block } = this.#receiver;
    const { bytes } = block;
    const at4 = block.findControl(IPPROTO.IP, IP.PKTINFO);
    if (at4 >= 0) {
      const address = readU32be(bytes, at4 + inPktinfo.at.ipi_addr);
      setMappedIpv4(this.#local, 0, address);
      return true;
    }
    const at6 = block.findControl(IPPROTO.IPV6, IPV6.PKTINFO);
    if (at6 < 0) return false;
    readWords(bytes, at6, this.#local, 0);
    return true;
  }
}
