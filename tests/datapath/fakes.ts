/**
 * The ports of a worker without a system behind them. Bytes are looked at when
 * they leave, at the flush, so that whoever overwrites them too early is caught.
 */
import type { Batch } from "../../src/core/columns/batch.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import type {
  Area,
  OutsideErrorReport,
  OutsidePort,
  Poller,
  TunDevice,
  TunnelSocket,
} from "../../src/io/ports.ts";
import { FakeSockets } from "../core/engine/world.ts";
import { emptyReport } from "../../src/io/os/shared/empty_report.ts";

/** A datagram with its other end: 4 address words and a port. */
export interface Datagram {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly port: number;
}

interface Queued {
  readonly at: number;
  readonly length: number;
  readonly words: Int32Array;
  readonly port: number;
}

/** The tunnel's socket: rows lie back to back, as a train's do. */
export class FakeTunnelSocket implements TunnelSocket {
  readonly descriptor = -1;
  readonly port = 51820;
  /** What the next receive finds. */
  readonly inbox: Datagram[] = [];
  readonly sent: Datagram[] = [];
  /** How many messages the next flush loses, the last ones. */
  lose = 0;
  readonly #bytes: Uint8Array;
  readonly #area: Area;
  #queued: Queued[] = [];

  constructor(bytes: Uint8Array, area: Area) {
    this.#bytes = bytes;
    this.#area = area;
  }

  receive(batch: Batch): number {
    let at = this.#area.start;
    const before = batch.count;
    for (const { bytes, words, port } of this.inbox.splice(0)) {
      if (at + bytes.length > this.#area.end) throw new Error("no room");
      this.#bytes.set(bytes, at);
      const row = batch.push(at, bytes.length, -1);
      if (row < 0) throw new Error("the batch is full");
      batch.remote.set(words, row * 4);
      batch.remotePort[row] = port;
      at += bytes.length;
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
    this.#queued.push({ at, length, words: words.slice(i, i + 4), port });
  }

  flush(): number {
    const lost = Math.min(this.lose, this.#queued.length);
    this.lose = 0;
    const going = this.#queued.slice(0, this.#queued.length - lost);
    for (const { at, length, words, port } of going) {
      const bytes = this.#bytes.slice(at, at + length);
      this.sent.push({ bytes, words, port });
    }
    this.#queued = [];
    return lost;
  }

  [Symbol.dispose](): void {}
}

/** Room around packets that a device reads. */
export interface TunRoom {
  readonly headroom: number;
  readonly tailroom: number;
}

/** The host's device. */
export class FakeTun implements TunDevice {
  readonly name = "test0";
  readonly descriptor = -1;
  readonly mtu = 1420;
  gone = false;
  pending = false;
  /** Packets that the host sends; one element a read. */
  readonly inbox: (readonly Uint8Array[])[] = [];
  readonly written: Uint8Array[] = [];
  /** How many rows the next write refuses, the first ones. */
  refuse = 0;
  readonly #bytes: Uint8Array;
  readonly #area: Area;
  readonly #room: TunRoom;

  constructor(bytes: Uint8Array, area: Area, room: TunRoom) {
    this.#bytes = bytes;
    this.#area = area;
    this.#room = room;
  }

  read(batch: Batch): number {
    const { headroom, tailroom } = this.#room;
    const packets = this.inbox.shift() ?? [];
    let at = this.#area.start + headroom;
    for (const packet of packets) {
      this.#bytes.fill(0xee, at - headroom, at + packet.length + tailroom);
      this.#bytes.set(packet, at);
      batch.push(at, packet.length, -1);
      at += packet.length + tailroom + headroom;
    }
    return packets.length;
  }

  write(batch: Batch): number {
    let refused = 0;
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] !== Verdict.ToHost) continue;
      if (refused < this.refuse) refused++;
      else this.written.push(rowBytes(batch, row));
    }
    this.refuse = 0;
    return refused;
  }

  [Symbol.dispose](): void {}
}

/** What left through a translator's socket. */
export interface OutsideSent extends Datagram {
  readonly handle: number;
  readonly hopLimit: number;
}

/** The translator's sockets. */
export class FakeOutside extends FakeSockets implements OutsidePort {
  readonly sent: OutsideSent[] = [];
  /** What waits at a handle. */
  readonly inbox = new Map<number, Datagram[]>();
  readonly errors = new Map<number, (Partial<OutsideErrorReport>)[]>();
  /** An errno for each handle that can't send. */
  readonly broken = new Map<number, number>();
  mtu = 0;
  failedCount = 0;
  readonly failedRow = new Int32Array(64);
  readonly failedErrno = new Int32Array(64);
  readonly report: OutsideErrorReport = emptyReport();
  readonly #bytes: Uint8Array;
  readonly #area: Area;
  #queued: { handle: number; batch: Batch; row: number }[] = [];

  constructor(bytes: Uint8Array, area: Area) {
    super();
    this.#bytes = bytes;
    this.#area = area;
  }

  send(handle: number, batch: Batch, row: number): void {
    this.#queued.push({ handle, batch, row });
  }

  flush(): number {
    this.failedCount = 0;
    for (const { handle, batch, row } of this.#queued) {
      const errno = this.broken.get(handle);
      if (errno !== undefined) {
        this.failedRow[this.failedCount] = row;
        this.failedErrno[this.failedCount++] = errno;
        continue;
      }
      this.sent.push({
        handle,
        bytes: rowBytes(batch, row),
        words: batch.remote.slice(row * 4, row * 4 + 4),
        port: batch.remotePort[row],
        hopLimit: batch.hopLimit[row],
      });
    }
    this.#queued = [];
    return this.failedCount;
  }

  pathMtu(): number {
    return this.mtu;
  }

  receive(natRow: number, handle: number, batch: Batch): number {
    const waiting = this.inbox.get(handle) ?? [];
    this.inbox.delete(handle);
    for (const { bytes, words, port } of waiting) {
      const at = this.#area.start + batch.count * 4096 + 128;
      this.#bytes.set(bytes, at);
      const row = batch.push(at, bytes.length, -1);
      batch.target[row] = natRow;
      batch.remote.set(words, row * 4);
      batch.remotePort[row] = port;
      batch.hopLimit[row] = 60;
    }
    return waiting.length;
  }

  receiveError(
    handle: number,
    _batch: Batch,
    report: OutsideErrorReport,
  ): boolean {
    const next = this.errors.get(handle)?.shift();
    if (next === undefined) return false;
    const { offender, destination, ...rest } = next;
    if (offender) report.offender.set(offender);
    if (destination) report.destination.set(destination);
    Object.assign(report, rest);
    return true;
  }

  [Symbol.dispose](): void {}
}

/** An outside socket that a poller reports. */
export interface ReadySocket {
  readonly row: number;
  readonly handle: number;
  readonly error?: boolean;
}

/** What one wait reports, and what happens meanwhile. */
export interface Wakeup {
  readonly ready: number;
  readonly sockets?: readonly ReadySocket[];
  readonly before?: () => void;
}

/** Reports what a script says, then ends the loop. */
export class FakePoller implements Poller {
  readonly timeouts: number[] = [];
  readonly #script: Wakeup[];
  readonly #stop: Int32Array;
  #sockets: readonly ReadySocket[] = [];

  constructor(stop: Int32Array, script: readonly Wakeup[]) {
    this.#stop = stop;
    this.#script = [...script];
  }

  wait(timeoutMs: number): number {
    this.timeouts.push(timeoutMs);
    const next = this.#script.shift();
    if (this.#script.length === 0) Atomics.store(this.#stop, 0, 1);
    next?.before?.();
    this.#sockets = next?.sockets ?? [];
    return next?.ready ?? 0;
  }

  get outsideCount(): number {
    return this.#sockets.length;
  }

  outsideRow(i: number): number {
    return this.#sockets[i].row;
  }

  outsideHandle(i: number): number {
    return this.#sockets[i].handle;
  }

  outsideError(i: number): boolean {
    return this.#sockets[i].error ?? false;
  }

  [Symbol.dispose](): void {}
}

/** A copy of a row's bytes. */
export function rowBytes(batch: Batch, row: number): Uint8Array {
  const at = batch.offset[row];
  return batch.bytes.slice(at, at + batch.length[row]);
}
