/**
 * The gateway's outside on Linux: one thread opens what is shared, each worker
 * attaches. See {@linkcode OutsidePort} for who may call what.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import type {
  OpenedOutside,
  OutsideAttachment,
  OutsideErrorReport,
  OutsideOptions,
  OutsidePort,
  OutsideShared,
} from "../../ports.ts";
import { openPing, openRawEcho } from "./echo_socket.ts";
import { emptyReport } from "../shared/empty_report.ts";
import { ERROR_PAYLOAD_ROOM, ErrorQueue } from "./error_queue.ts";
import { isRawHandle } from "../shared/outside_handle.ts";
import { OutsideBinding } from "./outside_binding.ts";
import { OutsideModes } from "./outside_modes.ts";
import { OutsidePathMtu } from "./outside_path_mtu.ts";
import { OutsideReceiver } from "./outside_receiver.ts";
import { OutsideRetired } from "../shared/outside_retired.ts";
import { OutsideSender } from "./outside_sender.ts";
import { configureOutside, LinuxOutsideSockets } from "./outside_sockets.ts";
import { PollSet, PollTag } from "./poller_set.ts";
import { SocketOptions } from "./socket_option.ts";

/** What the raw echo sockets may hold while the receiving worker is busy. */
const ECHO_BYTES = 1 << 20;

/**
 * Opens the sockets that all mappings share and puts them into the poll set.
 * Disposing of it closes them, after the workers have ended.
 * @throws {LibcError} where the poll set refuses them.
 */
export function openOutside(
  libc: Libc,
  options: OutsideOptions,
): OpenedOutside {
  const { poller, wake, capacity, interfaceIndex = 0, mark = 0 } = options;
  const cells = new SharedArrayBuffer(OutsideBinding.byteLength);
  const binding = new OutsideBinding(cells);
  binding.setMark(mark);
  binding.setInterface(4, interfaceIndex);
  binding.setInterface(6, interfaceIndex);
  const wantsRaw = options.echo !== "ping";
  const raw4 = wantsRaw ? openSharedEcho(libc, 4, binding) : -1;
  const raw6 = wantsRaw ? openSharedEcho(libc, 6, binding) : -1;
  const echo = raw4 >= 0 || raw6 >= 0 ? "raw" : mayPing(libc) ? "ping" : "none";
  const shared: OutsideShared = {
    poller,
    wake,
    echo,
    raw4,
    raw6,
    binding: cells,
    capacity,
    retired: new SharedArrayBuffer(OutsideRetired.byteLength(capacity)),
    modes: new SharedArrayBuffer(OutsideModes.byteLength(capacity)),
  };
  const opened = new LinuxOpenedOutside(libc, shared);
  const set = new PollSet(libc, poller);
  if (
    (raw4 >= 0 && !set.add(raw4, PollTag.RawEcho, -1)) ||
    (raw6 >= 0 && !set.add(raw6, PollTag.RawEcho, -1))
  ) {
    const error = libc.error("epoll_ctl(EPOLL_CTL_ADD)");
    opened[Symbol.dispose]();
    throw error;
  }
  return opened;
}

/** Uses the outside in one worker. */
export function attachOutside(
  libc: Libc,
  attachment: OutsideAttachment,
): OutsidePort {
  return new LinuxOutside(libc, attachment);
}

class LinuxOpenedOutside implements OpenedOutside {
  readonly shared: OutsideShared;
  readonly #libc: Libc;

  constructor(libc: Libc, shared: OutsideShared) {
    this.#libc = libc;
    this.shared = shared;
  }

  get echo(): "raw" | "ping" | "none" {
    return this.shared.echo;
  }

  setInterface(family: 4 | 6, index: number): void {
    const { raw4, raw6, binding } = this.shared;
    const cells = new OutsideBinding(binding);
    cells.setInterface(family, index);
    const raw = family === 4 ? raw4 : raw6;
    if (raw >= 0) cells.change(new SocketOptions(this.#libc), raw, family);
  }

  [Symbol.dispose](): void {
    const { raw4, raw6, poller } = this.shared;
    const set = new PollSet(this.#libc, poller);
    for (const descriptor of [raw4, raw6]) {
      if (descriptor < 0) continue;
      set.remove(descriptor);
      this.#libc.call.close(descriptor);
    }
  }
}

/** One worker's outside: the sending side, the receiving side or both. */
class LinuxOutside implements OutsidePort {
  readonly report: OutsideErrorReport = emptyReport();
  readonly #libc: Libc;
  readonly #shared: OutsideShared;
  readonly #sockets: LinuxOutsideSockets;
  readonly #sender: OutsideSender;
  readonly #receiver: OutsideReceiver;
  readonly #errors: ErrorQueue;
  readonly #pathMtu: OutsidePathMtu;
  readonly #retired: OutsideRetired;
  readonly #set: PollSet;
  readonly #receives: boolean;

  constructor(libc: Libc, attachment: OutsideAttachment) {
    const { shared, bytes, receiveArea, headroom } = attachment;
    this.#libc = libc;
    this.#shared = shared;
    this.#sockets = new LinuxOutsideSockets(libc, shared);
    this.#sender = new OutsideSender(libc, { shared, bytes });
    // The area begins with the place for quoted datagrams, slots follow.
    const payloadAt = ((receiveArea.start + 63) & ~63) + headroom;
    const start = payloadAt + ERROR_PAYLOAD_ROOM;
    this.#errors = new ErrorQueue(libc, { bytes, payloadAt });
    this.#pathMtu = new OutsidePathMtu(libc, shared.binding);
    this.#receiver = new OutsideReceiver(libc, {
      shared,
      bytes,
      area: { start, end: receiveArea.end },
      headroom,
    });
    this.#retired = new OutsideRetired(shared.retired, shared.capacity);
    this.#set = new PollSet(libc, shared.poller);
    this.#receives = receiveArea.end > receiveArea.start;
  }

  get failedCount(): number {
    return this.#sender.failedCount;
  }

  get failedRow(): Int32Array {
    return this.#sender.failedRow;
  }

  get failedErrno(): Int32Array {
    return this.#sender.failedErrno;
  }

  open(protocol: number, family: 4 | 6, port: number, row: number): number {
    return this.#sockets.open(protocol, family, port, row);
  }

  port(handle: number): number {
    return this.#sockets.port(handle);
  }

  retire(row: number, handle: number): void {
    this.#sender.sendQueued();
    this.#sockets.retire(row, handle);
  }

  send(handle: number, batch: Batch, row: number): void {
    this.#sender.send(handle, batch, row);
  }

  flush(): number {
    return this.#sender.flush();
  }

  pathMtu(batch: Batch, row: number): number {
    return this.#pathMtu.towards(batch, row);
  }

  receive(natRow: number, handle: number, batch: Batch): number {
    return handle < 0
      ? this.#receiver.receiveEcho(batch)
      : this.#receiver.receive(natRow, handle, batch);
  }

  receiveError(
    handle: number,
    _batch: Batch,
    report: OutsideErrorReport,
  ): boolean {
    if (handle >= 0) return this.#errors.read(handle, report);
    const { raw4, raw6 } = this.#shared;
    return (raw4 >= 0 && this.#errors.readEcho(raw4, report)) ||
      (raw6 >= 0 && this.#errors.readEcho(raw6, report));
  }

  closeRetired(nat: { markFree(row: number): void }): void {
    const retired = this.#retired;
    for (let row = retired.row(); row >= 0; row = retired.row()) {
      const handle = retired.handle();
      retired.shift();
      this.#close(handle);
      nat.markFree(row);
    }
  }

  /** Closes what this side still has; the receiving worker's goes first. */
  [Symbol.dispose](): void {
    if (this.#receives) this.closeRetired({ markFree: () => {} });
    this.#sockets[Symbol.dispose]();
  }

  #close(handle: number): void {
    if (isRawHandle(handle)) return;
    this.#set.remove(handle);
    this.#libc.call.close(handle);
  }
}

function openSharedEcho(
  libc: Libc,
  family: 4 | 6,
  binding: OutsideBinding,
): number {
  const descriptor = openRawEcho(libc, family);
  if (descriptor < 0) return -1;
  const options = new SocketOptions(libc);
  options.setBuffer(descriptor, "receive", ECHO_BYTES);
  if (configureOutside(options, descriptor, family, binding)) {
    return descriptor;
  }
  libc.call.close(descriptor);
  return -1;
}

function mayPing(libc: Libc): boolean {
  const descriptor = openPing(libc, new SocketOptions(libc), 4);
  if (descriptor < 0) return false;
  libc.call.close(descriptor);
  return true;
}
