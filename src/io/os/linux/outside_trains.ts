/**
 * How rows leave outside sockets on Linux: those of one socket by one sendmmsg,
 * in trains where they are alike. Hop limits travel with each message; whether
 * a datagram may be fragmented (an IP_PMTUDISC) is a mode of its socket.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  AF,
  IP,
  IP_PMTUDISC,
  IPPROTO,
  IPV6,
  SOCK,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
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
import { MessageTrains, type TrainOwner } from "./message_trains.ts";
import { controlSpace, type MessageVector } from "./message_vector.ts";
import { SocketOptions } from "./socket_option.ts";

/** Sends rows of a batch. */
export class LinuxOutsideTrains implements OutsideTrains, TrainOwner {
  readonly #options: SocketOptions;
  readonly #trains: MessageTrains;
  readonly #failed: FailedRows;
  /** What is being sent. */
  #batch: Batch | undefined;

  constructor(
    libc: Libc,
    options: OutsideMessages & { bytes: Uint8Array<ArrayBuffer> },
  ) {
    this.#options = new SocketOptions(libc);
    this.#failed = options.failed;
    this.#trains = new MessageTrains(libc, this, {
      ...OUTSIDE_PATIENCE,
      messages: options.messages,
      bytes: options.bytes,
      controlRoom: controlSpace(4),
      trains: knowsTrains(libc, this.#options) ? "tried" : "never",
    });
  }

  numberOf(descriptor: number): number {
    return descriptor;
  }

  modeOf(batch: Batch, row: number): number {
    return batch.dontFragment[row] !== 0 ? IP_PMTUDISC.DO : IP_PMTUDISC.DONT;
  }

  setMode(descriptor: number, family: 4 | 6, mode: number): void {
    if (family === 4) {
      this.#options.set(descriptor, IPPROTO.IP, IP.MTU_DISCOVER, mode);
    } else {
      this.#options.set(descriptor, IPPROTO.IPV6, IPV6.MTU_DISCOVER, mode);
    }
  }

  isAlike(batch: Batch, a: number, b: number): boolean {
    return batch.hopLimit[a] === batch.hopLimit[b] &&
      goesToSameRemote(batch, a, b);
  }

  send(batch: Batch, descriptor: number): void {
    this.#batch = batch;
    this.#trains.send(descriptor);
  }

  /** Gives a train the destination and hop limit of its first row. */
  writeHead(
    vector: MessageVector,
    train: number,
    row: number,
    at: number,
  ): number {
    const batch = this.#batch!;
    const { remote } = batch;
    const family = isMappedIpv4(remote, row * 4) ? 4 : 6;
    vector.setDestination(train, family, remote, row * 4, portOf(batch, row));
    const hopLimit = batch.hopLimit[row];
    if (hopLimit === 0) return at;
    return family === 4
      ? vector.putControl32(at, IPPROTO.IP, IP.TTL, hopLimit)
      : vector.putControl32(at, IPPROTO.IPV6, IPV6.HOPLIMIT, hopLimit);
  }

  failed(message: number, errno: number): void {
    this.#failed.add(message, errno);
  }
}

/** Whether the kernel knows UDP_SEGMENT; one that doesn't would send a train as one. */
function knowsTrains(libc: Libc, options: SocketOptions): boolean {
  const probe = libc.call.socket(AF.INET, SOCK.DGRAM | SOCK.CLOEXEC, 0);
  if (probe < 0) return false;
  const segment = options.get(probe, IPPROTO.UDP, UDP.SEGMENT);
  libc.call.close(probe);
  return segment >= 0;
}
