/** Ports that cost no memory once they are made: for measuring what the rest costs. */
import type { Batch } from "../../../src/core/columns/batch.ts";
import { copyBytes } from "../../../src/core/wire/bytes.ts";
import type {
  Area,
  OutsideErrorReport,
  OutsidePort,
  TunDevice,
  TunnelSocket,
} from "../../../src/io/ports.ts";
import { emptyReport } from "../../../src/io/os/shared/empty_report.ts";

const MESSAGES = 512;
const MESSAGE_ROOM = 2048;

/** A wire: what one end's socket flushes the other's receives. */
export class Wire {
  readonly bytes = new Uint8Array(MESSAGES * MESSAGE_ROOM);
  readonly length = new Int32Array(MESSAGES);
  count = 0;
}

/** A socket between two wires. */
export class WireSocket implements TunnelSocket {
  readonly descriptor = -1;
  readonly port = 51820;
  readonly #at = new Int32Array(MESSAGES);
  readonly #length = new Int32Array(MESSAGES);
  #queued = 0;

  constructor(
    readonly bytes: Uint8Array,
    readonly area: Area,
    readonly inward: Wire,
    readonly outward: Wire,
  ) {}

  receive(batch: Batch): number {
    const { inward, bytes, area } = this;
    let at = area.start;
    for (let n = 0; n < inward.count; n++) {
      const length = inward.length[n];
      copyBytes(bytes, at, inward.bytes, n * MESSAGE_ROOM, length);
      const row = batch.push(at, length, -1);
      batch.remote[row * 4] = 0;
      batch.remote[row * 4 + 1] = 0;
      batch.remote[row * 4 + 2] = 0xffff;
      batch.remote[row * 4 + 3] = 0x0a0b0c0d;
      batch.remotePort[row] = 1000;
      at += length;
    }
    const { count } = inward;
    inward.count = 0;
    return count;
  }

  queue(at: number, length: number): void {
    this.#at[this.#queued] = at;
    this.#length[this.#queued++] = length;
  }

  flush(): number {
    const { outward } = this;
    for (let n = 0; n < this.#queued; n++) {
      const to = outward.count++;
      const length = this.#length[n];
      outward.length[to] = length;
      copyBytes(
        outward.bytes,
        to * MESSAGE_ROOM,
        this.bytes,
        this.#at[n],
        length,
      );
    }
    this.#queued = 0;
    return 0;
  }

  [Symbol.dispose](): void {}
}

/** A device whose host sends the same packets again and again. */
export class LoopTun implements TunDevice {
  readonly name = "loop";
  readonly descriptor = -1;
  readonly mtu = 1420;
  readonly gone = false;
  readonly pending = false;
  packets: readonly Uint8Array[] = [];
  /** Packets that the next read gives. */
  burst = 0;
  #next = 0;

  constructor(readonly bytes: Uint8Array, readonly area: Area) {}

  read(batch: Batch): number {
    const { burst, packets } = this;
    this.burst = 0;
    let at = this.area.start + 64;
    for (let n = 0; n < burst; n++) {
      const packet = packets[this.#next];
      this.#next = (this.#next + 1) % packets.length;
      copyBytes(this.bytes, at, packet, 0, packet.length);
      batch.push(at, packet.length, -1);
      at += packet.length + 128;
    }
    return burst;
  }

  write(): number {
    return 0;
  }

  [Symbol.dispose](): void {}
}

/** Outside sockets that take everything, and give one datagram again and again. */
export class LoopOutside implements OutsidePort {
  readonly failedCount = 0;
  readonly failedRow = new Int32Array(1);
  readonly failedErrno = new Int32Array(1);
  readonly payload = new Uint8Array(600).fill(7);
  /** Datagrams that the next receive gives. */
  burst = 0;
  sent = 0;
  port_ = 0;
  readonly report: OutsideErrorReport = emptyReport();

  constructor(readonly bytes: Uint8Array, readonly area: Area) {}

  open(_protocol: number, _family: 4 | 6, port: number): number {
    this.port_ = port;
    return 1;
  }

  port(): number {
    return this.port_;
  }

  retire(): void {}

  send(): void {
    this.sent++;
  }

  flush(): number {
    return 0;
  }

  pathMtu(): number {
    return 0;
  }

  receive(natRow: number, _handle: number, batch: Batch): number {
    const { burst, payload, area } = this;
    this.burst = 0;
    for (let n = 0; n < burst; n++) {
      const at = area.start + n * 2048 + 128;
      copyBytes(this.bytes, at, payload, 0, payload.length);
      const row = batch.push(at, payload.length, -1);
      batch.target[row] = natRow;
      batch.remote[row * 4] = 0;
      batch.remote[row * 4 + 1] = 0;
      batch.remote[row * 4 + 2] = 0xffff;
      batch.remote[row * 4 + 3] = 0x01020304;
      batch.remotePort[row] = 53;
      batch.hopLimit[row] = 60;
    }
    return burst;
  }

  receiveError(): boolean {
    return false;
  }

  closeRetired(): void {}

  [Symbol.dispose](): void {}
}
