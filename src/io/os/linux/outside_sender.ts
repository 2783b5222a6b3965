/**
 * Sending from outside sockets: rows of one socket that follow each other leave
 * by one sendmmsg. Hop limits travel with each message; whether a datagram may
 * be fragmented is a mode of its socket, changed only where it differs.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { pollfd } from "../../../../ffi/linux_layouts.ts";
import {
  AF,
  ERRNO,
  IP,
  IP_PMTUDISC,
  IPPROTO,
  IPV6,
  MSG,
  POLL,
  SOCK,
} from "../../../../ffi/linux_socket_constants.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { Verdict } from "../../../core/columns/verdict.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import type { OutsideShared } from "../../ports.ts";
import { controlSpace, MessageVector } from "./message_vector.ts";
import { descriptorOf } from "./outside_handle.ts";
import { SOCKET_ADDRESS_ROOM, writeSocketAddress } from "./socket_address.ts";
import { SocketOptions } from "./socket_option.ts";

/** Messages of one socket that can wait; one more sends those before it. */
const CAPACITY = 256;
/** Failed rows that are told; the largest batches have fewer rows. */
const FAILURES = 8192;
/** How long to wait for a full socket to take more, and how often. */
const FULL_WAIT_MS = 5;
const FULL_WAITS = 3;
/** The fragmentation mode of a socket that is not known yet. */
const UNKNOWN_MODE = 0;

/** Queues and sends rows of a batch. */
export class OutsideSender {
  /** Rows that could not be sent. */
  readonly failedRow = new Int32Array(FAILURES);
  /** Why, as the system's errno. */
  readonly failedErrno = new Int32Array(FAILURES);
  readonly #libc: Libc;
  readonly #shared: OutsideShared;
  readonly #options: SocketOptions;
  readonly #vector: MessageVector;
  readonly #row = new Int32Array(CAPACITY);
  readonly #poll = new Int32Array(pollfd.size >> 2);
  readonly #pollBytes = new Uint8Array(this.#poll.buffer);
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  /** IP_PMTUDISC of each descriptor, plus 1. */
  #mode = new Uint8Array(1024);
  #descriptor = -1;
  #wantedMode = 0;
  #family: 4 | 6 = 4;
  #count = 0;
  #failed = 0;
  #told: "yes" | "no" = "no";

  constructor(
    libc: Libc,
    options: { shared: OutsideShared; bytes: Uint8Array<ArrayBuffer> },
  ) {
    this.#libc = libc;
    this.#shared = options.shared;
    this.#options = new SocketOptions(libc);
    this.#vector = new MessageVector({
      bytes: options.bytes,
      capacity: CAPACITY,
      pieces: CAPACITY,
      controlRoom: controlSpace(4),
    });
    for (let i = 0; i < CAPACITY; i++) this.#vector.setPieces(i, i, 1);
  }

  /** Rows told by {@linkcode failedRow}. */
  get failedCount(): number {
    return this.#failed;
  }

  /** A descriptor was opened anew: forgets the mode of the one that had its number. */
  forget(descriptor: number): void {
    if (descriptor >= this.#mode.length) {
      const grown = new Uint8Array(
        Math.max(descriptor + 1, this.#mode.length * 2),
      );
      grown.set(this.#mode);
      this.#mode = grown;
    }
    this.#mode[descriptor] = UNKNOWN_MODE;
  }

  /** Queues a row; its bytes must stay until {@linkcode flush}. */
  send(handle: number, batch: Batch, row: number): void {
    if (this.#told === "yes") {
      this.#failed = 0;
      this.#told = "no";
    }
    const descriptor = descriptorOf(this.#shared, handle);
    const mode = batch.dontFragment[row] !== 0
      ? IP_PMTUDISC.DO
      : IP_PMTUDISC.DONT;
    if (
      descriptor !== this.#descriptor || mode !== this.#wantedMode ||
      this.#count === CAPACITY
    ) {
      this.sendQueued();
      this.#descriptor = descriptor;
      this.#wantedMode = mode;
    }
    const family = isMappedIpv4(batch.remote, row * 4) ? 4 : 6;
    this.#family = family;
    const i = this.#count++;
    const vector = this.#vector;
    const port = batch.verdict[row] === Verdict.ToEcho
      ? 0
      : batch.remotePort[row];
    this.#row[i] = row;
    vector.setPiece(i, batch.offset[row], batch.length[row]);
    vector.setDestination(i, family, batch.remote, row * 4, port);
    const hopLimit = batch.hopLimit[row];
    if (hopLimit === 0) {
      vector.setControlLength(i, 0);
      return;
    }
    const at = vector.controlAt(i);
    if (family === 4) {
      vector.putControl32(at, IPPROTO.IP, IP.TTL, hopLimit);
    } else {
      vector.putControl32(at, IPPROTO.IPV6, IPV6.HOPLIMIT, hopLimit);
    }
    vector.setControlLength(i, controlSpace(4));
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
    const count = this.#count;
    if (count === 0) return;
    this.#applyMode();
    let message = 0;
    let waits = 0;
    let retried = -1;
    while (message < count) {
      const sent = this.#libc.call.sendmmsg(
        this.#descriptor,
        this.#vector.from(message),
        count - message,
        MSG.DONTWAIT,
      );
      if (sent > 0) {
        message += sent;
        continue;
      }
      const errno = this.#libc.errno();
      if (errno === ERRNO.EINTR) continue;
      if (
        (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS) &&
        ++waits <= FULL_WAITS
      ) {
        this.#waitForRoom();
      } else if (retried !== message) {
        // The error may be an ICMP message about an earlier datagram.
        retried = message;
      } else {
        this.#fail(this.#row[message], errno);
        message++;
      }
    }
    this.#count = 0;
    this.#descriptor = -1;
  }

  /** The path MTU that the system knows towards a row's destination; 0 unknown. */
  pathMtu(batch: Batch, row: number): number {
    const at = row * 4;
    const family = isMappedIpv4(batch.remote, at) ? 4 : 6;
    const { call } = this.#libc;
    const probe = call.socket(
      family === 4 ? AF.INET : AF.INET6,
      SOCK.DGRAM | SOCK.CLOEXEC,
      0,
    );
    if (probe < 0) return 0;
    const address = this.#address;
    const port = batch.remotePort[row] || 9;
    const length = writeSocketAddress(
      address,
      0,
      family,
      batch.remote,
      at,
      port,
    );
    const connected = call.connect(probe, address, length) === 0;
    const mtu = !connected
      ? -1
      : family === 4
      ? this.#options.get(probe, IPPROTO.IP, IP.MTU)
      : this.#options.get(probe, IPPROTO.IPV6, IPV6.MTU);
    call.close(probe);
    return Math.max(0, mtu);
  }

  #applyMode(): void {
    const descriptor = this.#descriptor;
    if (descriptor < 0) return;
    if (descriptor >= this.#mode.length) this.forget(descriptor);
    const mode = this.#wantedMode;
    if (this.#mode[descriptor] === mode + 1) return;
    if (this.#family === 4) {
      this.#options.set(descriptor, IPPROTO.IP, IP.MTU_DISCOVER, mode);
    } else {
      this.#options.set(descriptor, IPPROTO.IPV6, IPV6.MTU_DISCOVER, mode);
    }
    this.#mode[descriptor] = mode + 1;
  }

  #waitForRoom(): void {
    this.#poll[0] = this.#descriptor;
    this.#poll[1] = POLL.OUT;
    this.#libc.call.poll(this.#pollBytes, 1, FULL_WAIT_MS);
  }

  #fail(row: number, errno: number): void {
    if (this.#failed === FAILURES) return;
    this.failedRow[this.#failed] = row;
    this.failedErrno[this.#failed++] = errno;
  }
}
