/**
 * How rows leave outside sockets on Windows: one after the other, in trains
 * where they are alike and the system splits them. Hop limit and fragmentation
 * are modes of a socket.
 *
 *     mode   hop limit << 1 | don't fragment
 */
import {
  AF,
  INVALID_SOCKET,
  IP,
  IPPROTO,
  IPV6,
  SOCK,
  type Ws2,
  WSA_FLAGS,
} from "../../../../ffi/windows/ws2_32.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import type { FailedRows } from "../shared/failed_rows.ts";
import {
  goesToSameRemote,
  OUTSIDE_PATIENCE,
  type OutsideMessages,
  type OutsideTrains,
  portOf,
} from "../shared/outside_sender.ts";
import type { MessageBlock } from "./message_block.ts";
import { MessageTrains, type TrainOwner } from "./message_trains.ts";
import { numberOf } from "./socket_number.ts";
import { sendsTrains } from "./udp_trains.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** The hop limit of sockets that nobody gave another. */
const USUAL_HOP_LIMIT = 128;

/** Sends rows of a batch. */
export class WindowsOutsideTrains implements OutsideTrains, TrainOwner {
  readonly #options: WinsockOptions;
  readonly #trains: MessageTrains;
  readonly #failed: FailedRows;
  /** What is being sent. */
  #batch: Batch | undefined;

  constructor(
    ws2: Ws2,
    options: OutsideMessages & { bytes: Uint8Array<ArrayBuffer> },
  ) {
    this.#options = new WinsockOptions(ws2);
    this.#failed = options.failed;
    this.#trains = new MessageTrains(ws2, this, {
      ...OUTSIDE_PATIENCE,
      messages: options.messages,
      bytes: options.bytes,
      controlRoom: 0,
      trains: knowsTrains(ws2),
    });
  }

  numberOf(socket: number): number {
    return numberOf(socket);
  }

  modeOf(batch: Batch, row: number): number {
    const hopLimit = batch.hopLimit[row] || USUAL_HOP_LIMIT;
    return (hopLimit << 1) | (batch.dontFragment[row] !== 0 ? 1 : 0);
  }

  setMode(socket: number, family: 4 | 6, mode: number): void {
    const options = this.#options;
    const hopLimit = mode >> 1;
    const whole = mode & 1;
    if (family === 4) {
      options.set(socket, IPPROTO.IP, IP.TTL, hopLimit);
      options.set(socket, IPPROTO.IP, IP.DONTFRAGMENT, whole);
    } else {
      options.set(socket, IPPROTO.IPV6, IPV6.UNICAST_HOPS, hopLimit);
      options.set(socket, IPPROTO.IPV6, IPV6.DONTFRAG, whole);
    }
  }

  isAlike(batch: Batch, a: number, b: number): boolean {
    return goesToSameRemote(batch, a, b);
  }

  send(batch: Batch, socket: number): void {
    this.#batch = batch;
    this.#trains.send(socket);
  }

  /** Gives a train the destination of its first row. */
  writeHead(block: MessageBlock, row: number, at: number): number {
    const batch = this.#batch!;
    const family = isMappedIpv4(batch.remote, row * 4) ? 4 : 6;
    block.setDestination(family, batch.remote, row * 4, portOf(batch, row));
    return at;
  }

  failed(message: number, error: number): void {
    this.#failed.add(message, error);
  }
}

/** Whether the system splits trains. */
function knowsTrains(ws2: Ws2): "tried" | "never" {
  const { call } = ws2;
  const probe = call
    .WSASocketW(AF.INET, SOCK.DGRAM, IPPROTO.UDP, null, 0, WSA_FLAGS);
  if (probe === INVALID_SOCKET) return "never";
  const known = sendsTrains(ws2, probe);
  call.closesocket(probe);
  return known;
}
