/**
 * Sending from outside sockets: the rows of one socket leave one after the
 * other, in trains where they are alike, whatever rows of other sockets lie
 * between them. Hop limit and fragmentation are modes of a socket, changed only
 * where they differ.
 *
 *     queue     0 a   1 b   2 a   3 a   4 c      rows, with their sockets
 *     next      2     -     3     -     -        one chain a socket
 *     sends     a: 0 2 3    b: 1    c: 4
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
import { Verdict } from "../../../core/columns/verdict.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import type { OutsideShared } from "../../ports.ts";
import { descriptorOf } from "../shared/outside_handle.ts";
import type { MessageBlock } from "./message_block.ts";
import { MessageTrains, type TrainOwner } from "./message_trains.ts";
import { numberOf, OutsideModes } from "./outside_modes.ts";
import { sendsTrains } from "./udp_trains.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** Rows that can wait; one more sends those before it. */
const CAPACITY = 1024;
/** Failed rows that are told; the largest batches have fewer rows. */
const FAILURES = 8192;
/** How long to wait for a full socket to take more, and how often. */
const FULL_WAIT_MS = 5;
const FULL_WAITS = 3;
/** The hop limit of sockets that nobody gave another. */
const USUAL_HOP_LIMIT = 128;

/** Queues and sends rows of a batch. */
export class OutsideSender implements TrainOwner {
  /** Rows that could not be sent. */
  readonly failedRow = new Int32Array(FAILURES);
  /** Why, as a SocketError. */
  readonly failedErrno = new Int32Array(FAILURES);
  readonly #shared: OutsideShared;
  readonly #modes: OutsideModes;
  readonly #options: WinsockOptions;
  readonly #trains: MessageTrains;
  // The queue: row, socket, the next entry of the same socket (or -1).
  readonly #row = new Int32Array(CAPACITY);
  readonly #socket = new Int32Array(CAPACITY);
  readonly #next = new Int32Array(CAPACITY);
  /** Entries that begin a chain. */
  readonly #head = new Int32Array(CAPACITY);
  /** Rows of the messages that are being sent. */
  readonly #sentRow = new Int32Array(CAPACITY);
  /** Per socket number, the last entry of its chain plus 1. */
  #last = new Int32Array(1024);
  #batch: Batch | undefined;
  #count = 0;
  #heads = 0;
  #failed = 0;
  #told: "yes" | "no" = "no";

  constructor(
    ws2: Ws2,
    options: { shared: OutsideShared; bytes: Uint8Array<ArrayBuffer> },
  ) {
    this.#shared = options.shared;
    this.#modes = new OutsideModes(options.shared.modes);
    this.#options = new WinsockOptions(ws2);
    this.#trains = new MessageTrains(ws2, this, {
      bytes: options.bytes,
      capacity: CAPACITY,
      controlRoom: 0,
      trains: knowsTrains(ws2),
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
    const socket = descriptorOf(this.#shared, handle);
    const number = numberOf(socket);
    this.#makeRoom(number);
    const entry = this.#count++;
    const before = this.#last[number] - 1;
    this.#row[entry] = row;
    this.#socket[entry] = socket;
    this.#next[entry] = -1;
    if (before >= 0) this.#next[before] = entry;
    else this.#head[this.#heads++] = entry;
    this.#last[number] = entry + 1;
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
      this.#last[numberOf(this.#socket[head])] = 0;
      this.#sendChain(batch, head);
    }
    this.#count = 0;
    this.#heads = 0;
    this.#batch = undefined;
  }

  /** Gives a train the destination of its first row. */
  writeHead(block: MessageBlock, row: number, at: number): number {
    const { remote, verdict, remotePort } = this.#batch!;
    const family = isMappedIpv4(remote, row * 4) ? 4 : 6;
    const port = verdict[row] === Verdict.ToEcho ? 0 : remotePort[row];
    block.setDestination(family, remote, row * 4, port);
    return at;
  }

  /** Notes the row of a message that could not be sent. */
  failed(message: number, error: number): void {
    if (this.#failed === FAILURES) return;
    this.failedRow[this.#failed] = this.#sentRow[message];
    this.failedErrno[this.#failed++] = error;
  }

  /** Sends the rows of one socket, in order. */
  #sendChain(batch: Batch, head: number): void {
    const trains = this.#trains;
    const socket = this.#socket[head];
    const first = this.#row[head];
    const family = isMappedIpv4(batch.remote, first * 4) ? 4 : 6;
    let mode = modeOf(batch, first);
    let group = first;
    for (let entry = head; entry >= 0; entry = this.#next[entry]) {
      const row = this.#row[entry];
      const own = modeOf(batch, row);
      if (own !== mode) {
        this.#sendTrains(socket, family, mode);
        mode = own;
      }
      if (!isAlike(batch, group, row)) group = row;
      const message = trains.add(batch.offset[row], batch.length[row], group);
      this.#sentRow[message] = row;
    }
    this.#sendTrains(socket, family, mode);
  }

  #sendTrains(socket: number, family: 4 | 6, mode: number): void {
    if (this.#modes.change(socket, mode)) {
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
    this.#trains.send(socket);
  }

  #makeRoom(number: number): void {
    if (number < this.#last.length) return;
    const length = Math.max(number + 1, this.#last.length * 2);
    const last = new Int32Array(length);
    last.set(this.#last);
    this.#last = last;
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

/** Hop limit and fragmentation that a row asks for: hop limit << 1 | don't fragment. */
function modeOf(batch: Batch, row: number): number {
  const hopLimit = batch.hopLimit[row] || USUAL_HOP_LIMIT;
  return (hopLimit << 1) | (batch.dontFragment[row] !== 0 ? 1 : 0);
}

/** Whether two rows of a UDP socket go to one remote. */
function isAlike(batch: Batch, a: number, b: number): boolean {
  const { remote } = batch;
  const i = a * 4;
  const j = b * 4;
  return batch.verdict[b] === Verdict.ToUdp &&
    batch.remotePort[a] === batch.remotePort[b] &&
    remote[i + 3] === remote[j + 3] && remote[i + 2] === remote[j + 2] &&
    remote[i + 1] === remote[j + 1] && remote[i] === remote[j];
}
