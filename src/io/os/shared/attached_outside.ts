/**
 * The outside as one worker uses it, put together from a system's parts. See
 * {@linkcode OutsidePort} for who may call what.
 */
import type { Batch } from "../../../core/columns/batch.ts";
import type { OutsideSockets } from "../../../core/flow/outside_sockets.ts";
import type {
  OutsideAttachment,
  OutsideErrorReport,
  OutsidePort,
} from "../../ports.ts";
import { emptyReport } from "./empty_report.ts";
import { isRawHandle } from "./outside_handle.ts";
import { OutsideRetired } from "./outside_retired.ts";
import type { OutsideSender } from "./outside_sender.ts";

/** What a system has for one worker. */
export interface OutsideParts {
  /** The sockets of NAT rows; disposing of them closes those that are open. */
  readonly sockets: OutsideSockets & Disposable;
  readonly sender: OutsideSender;
  readonly receiver: {
    /** Reads what waits at a mapping's socket. @returns rows added. */
    receive(natRow: number, socket: number, batch: Batch): number;
    /** Reads what waits at the raw echo sockets. @returns rows added. */
    receiveEcho(batch: Batch): number;
  };
  readonly errors: {
    /** Takes one ICMP error; -1 are the raw echo sockets. @returns whether there was one */
    read(handle: number, report: OutsideErrorReport): boolean;
  };
  readonly pathMtu: {
    /** The path MTU towards a row's destination; 0 unknown. */
    towards(batch: Batch, row: number): number;
  };
  /** Takes a mapping's socket out of the poll set and closes it. */
  close(socket: number): void;
}

/** The sending side, the receiving side or both. */
export class AttachedOutside implements OutsidePort {
  readonly report: OutsideErrorReport = emptyReport();
  readonly #parts: OutsideParts;
  readonly #sender: OutsideSender;
  readonly #retired: OutsideRetired;
  readonly #receives: boolean;

  constructor(attachment: OutsideAttachment, parts: OutsideParts) {
    const { shared, receiveArea } = attachment;
    this.#parts = parts;
    this.#sender = parts.sender;
    this.#retired = new OutsideRetired(shared.retired, shared.capacity);
    this.#receives = receiveArea.end > receiveArea.start;
  }

  get failedCount(): number {
    return this.#sender.failed.count;
  }

  get failedRow(): Int32Array {
    return this.#sender.failed.row;
  }

  get failedErrno(): Int32Array {
    return this.#sender.failed.errno;
  }

  open(protocol: number, family: 4 | 6, port: number, row: number): number {
    return this.#parts.sockets.open(protocol, family, port, row);
  }

  port(handle: number): number {
    return this.#parts.sockets.port(handle);
  }

  retire(row: number, handle: number): void {
    this.#sender.sendQueued();
    this.#parts.sockets.retire(row, handle);
  }

  send(handle: number, batch: Batch, row: number): void {
    this.#sender.send(handle, batch, row);
  }

  flush(): number {
    return this.#sender.flush();
  }

  pathMtu(batch: Batch, row: number): number {
    return this.#parts.pathMtu.towards(batch, row);
  }

  receive(natRow: number, handle: number, batch: Batch): number {
    const { receiver } = this.#parts;
    return handle < 0
      ? receiver.receiveEcho(batch)
      : receiver.receive(natRow, handle, batch);
  }

  receiveError(
    handle: number,
    _batch: Batch,
    report: OutsideErrorReport,
  ): boolean {
    return this.#parts.errors.read(handle, report);
  }

  closeRetired(nat: { markFree(row: number): void }): void {
    const retired = this.#retired;
    for (let row = retired.row(); row >= 0; row = retired.row()) {
      const handle = retired.handle();
      retired.shift();
      if (!isRawHandle(handle)) this.#parts.close(handle);
      nat.markFree(row);
    }
  }

  /** Closes what this side still has; the receiving worker's goes first. */
  [Symbol.dispose](): void {
    if (this.#receives) this.closeRetired({ markFree: () => {} });
    this.#parts.sockets[Symbol.dispose]();
  }
}
