/**
 * Sending from outside sockets: the rows of one socket leave by one sendmmsg,
 * in trains where they are alike, whatever rows of other sockets lie between
 * them. Hop limits travel with each message; whether a datagram may be
 * fragmented is a mode of its socket, changed only where it differs.
 *
 *     queue     0 a   1 b   2 a   3 a   4 c      rows, with their descriptors
 *     next      2     -     3     -     -        one chain a descriptor
 *     sends     a: 0 2 3    b: 1    c: 4
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
import { Verdict } from "../../../core/columns/verdict.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import type { OutsideShared } from "../../ports.ts";
import { MessageTrains, type TrainOwner } from "./message_trains.ts";
import { controlSpace, type MessageVector } from "./message_vector.ts";
import { descriptorOf } from "../shared/outside_handle.ts";
import { OutsideModes } from "./outside_modes.ts";
import { SocketOptions } from "./socket_option.ts";

/** Rows that can wait; one more sends those before it. */
const CAPACITY = 1024;
/** Failed rows that are told; the largest batches have fewer rows. */
const FAILURES = 8192;
/** How long to wait for a full socket to take more, and how often. */
const FULL_WAIT_MS = 5;
const FULL_WAITS = 3;

/** Queues and sends rows of a batch. */
export class OutsideSender implements TrainOwner {
  /** Rows that could not be sent. */
  readonly failedRow = new Int32Array(FAILURES);
  /** Why, as the system's errno. */
  readonly failedErrno = new Int32Array(FAILURES);
  readonly #shared: OutsideShared;
  readonly #modes: OutsideModes;
  readonly #options: SocketOptions;
  readonly #trains: MessageTrains;
  // The queue: row, descriptor, the next entry of the same descriptor (or -1).
  readonly #row = new Int32Array(CAPACITY);
  readonly #descriptor = new Int32Array(CAPACITY);
  readonly #next = new Int32Array(CAPACITY);
  /** Entries that begin a chain. */
  readonly #head = new Int32Array(CAPACITY);
  /** Rows of the messages that are being sent. */
  readonly #sentRow = new Int32Array(CAPACITY);
  /** Per descriptor, the last entry of its chain plus 1. */
  #last = new Int32Array(1024);
  #batch: Batch | undefined;
  #count = 0;
  #heads = 0;
  #failed = 0;
  #told: "yes" | "no" = "no";

  constructor(
    libc: Libc,
    options: { shared: OutsideShared; bytes: Uint8Array<ArrayBuffer> },
  ) {
    this.#shared = options.shared;
    this.#modes = new OutsideModes(options.shared.modes);
    this.#options = new SocketOptions(libc);
    this.#trains = new MessageTrains(libc, this, {
      bytes: options.bytes,
      capacity: CAPACITY,
      controlRoom: controlSpace(4),
      trains: knowsTrains(libc, this.#options) ? "tried" : "never",
      fullWaitMs: FULL_WAIT_MS,
      fullWaits: FULL_WAITS,
    });
  }

  /** Rows told by {@linkcode failedRow}. */
  get failedCount(): number {
    return this.#failed;
  }

  /** Queues a row; its bytes and columns must stay until {@linkcode flush}. */
  send(handle: number, batch: Batch, row: number): void {
    if (this.#told === "yes") {
      this.#failed = 0;
      this.#told = "no";
    }
    if (this.#count === CAPACITY || batch !== this.#batch) this.sendQueued();
    this.#batch = batch;
    const descriptor = descriptorOf(this.#shared, handle);
    this.#makeRoom(descriptor);
    const entry = this.#count++;
    const before = this.#last[descriptor] - 1;
    this.#row[entry] = row;
    this.#descriptor[entry] = descriptor;
    this.#next[entry] = -1;
    if (before >= 0) this.#next[before] = entry;
    else this.#head[this.#heads++] = entry;
    this.#last[descriptor] = entry + 1;
  }

  /** Sends what is queued. @returns {@linkcode failedCount}. */
  flush(): number {
    this.sendQueued();
    if (this.#told === "yes") this.#failed = 0;
    this.#told = "yes";
    return this.#failed;
  }

  /** Sends what is queued, the failed rows not being told yet. */
  sendQueued(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    for (let i = 0; i < this.#heads; i++) {
      const head = this.#head[i];
      this.#last[this.#descriptor[head]] = 0;
      this.#sendChain(batch, head);
    }
    this.#count = 0;
    this.#heads = 0;
    this.#batch = undefined;
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
    const port = batch.verdict[row] === Verdict.ToEcho
      ? 0
      : batch.remotePort[row];
    vector.setDestination(train, family, remote, row * 4, port);
    const hopLimit = batch.hopLimit[row];
    if (hopLimit === 0) return at;
    return family === 4
      ? vector.putControl32(at, IPPROTO.IP, IP.TTL, hopLimit)
      : vector.putControl32(at, IPPROTO.IPV6, IPV6.HOPLIMIT, hopLimit);
  }

  /** Notes the row of a message that could not be sent. */
  failed(message: number, errno: number): void {
    this.#fail(this.#sentRow[message], errno);
  }

  /** Sends the rows of one socket, in order. */
  #sendChain(batch: Batch, head: number): void {
    const trains = this.#trains;
    const descriptor = this.#descriptor[head];
    const first = this.#row[head];
    const family = isMappedIpv4(batch.remote, first * 4) ? 4 : 6;
    let mode = fragmentation(batch, first);
    let group = first;
    for (let entry = head; entry >= 0; entry = this.#next[entry]) {
      const row = this.#row[entry];
      if (fragmentation(batch, row) !== mode) {
        this.#sendTrains(descriptor, family, mode);
        mode = fragmentation(batch, row);
      }
      if (!isAlike(batch, group, row)) group = row;
      const message = trains.add(batch.offset[row], batch.length[row], group);
      this.#sentRow[message] = row;
    }
    this.#sendTrains(descriptor, family, mode);
  }

  #sendTrains(descriptor: number, family: 4 | 6, mode: number): void {
    if (this.#modes.change(descriptor, mode)) {
      if (family === 4) {
        this.#options.set(descriptor, IPPROTO.IP, IP.MTU_DISCOVER, mode);
      } else {
        this.#options.set(descriptor, IPPROTO.IPV6, IPV6.MTU_DISCOVER, mode);
      }
    }
    this.#trains.send(descriptor);
  }

  #makeRoom(descriptor: number): void {
    if (descriptor < this.#last.length) return;
    const length = Math.max(descriptor + 1, this.#last.length * 2);
    const last = new Int32Array(length);
    last.set(this.#last);
    this.#last = last;
  }

  #fail(row: number, errno: number): void {
    if (this.#failed === FAILURES) return;
    this.failedRow[this.#failed] = row;
    this.failedErrno[this.#failed++] = errno;
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

/** The IP_PMTUDISC that a row asks for. */
function fragmentation(batch: Batch, row: number): number {
  return batch.dontFragment[row] !== 0 ? IP_PMTUDISC.DO : IP_PMTUDISC.DONT;
}

/** Whether two rows of a UDP socket go to one remote with one hop limit. */
function isAlike(batch: Batch, a: number, b: number): boolean {
  const { remote } = batch;
  const i = a * 4;
  const j = b * 4;
  return batch.verdict[b] === Verdict.ToUdp &&
    batch.remotePort[a] === batch.remotePort[b] &&
    batch.hopLimit[a] === batch.hopLimit[b] &&
    remote[i + 3] === remote[j + 3] && remote[i + 2] === remote[j + 2] &&
    remote[i + 1] === remote[j + 1] && remote[i] === remote[j];
}
