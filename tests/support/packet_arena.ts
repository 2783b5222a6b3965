/**
 * A worker's arena for tests of devices and sockets: memory as WASM gives it, a
 * receive area at its start, a batch whose spare area follows.
 */
import { Batch } from "../../src/core/columns/batch.ts";
import type { Area } from "../../src/io/ports.ts";

/** Sizes of a test arena. */
export interface PacketArenaOptions {
  /** Bytes for a device's receive area; 16 datagrams of 64 KiB where left out. */
  readonly receiveBytes?: number;
  /** Rows of the batch; 1024 where left out. */
  readonly rows?: number;
}

/** An arena with one batch in it. */
export class PacketArena {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly receiveArea: Area;
  readonly batch: Batch;
  #at: number;
  readonly #messagesStart: number;

  constructor(options: PacketArenaOptions = {}) {
    const { receiveBytes = 16 * 67_000, rows = 1024 } = options;
    const spareStart = receiveBytes;
    const spareEnd = spareStart + (1 << 20);
    const messages = 4 << 20;
    const pages = Math.ceil((spareEnd + messages) / 65536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.bytes = new Uint8Array(memory.buffer as ArrayBuffer);
    this.receiveArea = { start: 0, end: receiveBytes };
    this.batch = new Batch({
      bytes: this.bytes,
      capacity: rows,
      spareStart,
      spareEnd,
      headroom: 128,
      tailroom: 64,
    });
    this.#messagesStart = spareEnd;
    this.#at = spareEnd;
  }

  /** Gives all messages back. */
  forgetMessages(): void {
    this.#at = this.#messagesStart;
  }

  /** Puts bytes into the arena, `gap` bytes behind the ones before. */
  put(bytes: Uint8Array, gap = 0): number {
    const at = this.#at + gap;
    this.bytes.set(bytes, at);
    this.#at = at + bytes.length;
    return at;
  }

  /** Appends a row with these bytes to the batch. */
  append(bytes: Uint8Array): number {
    const row = this.batch.append(bytes.length, -1);
    if (row < 0) throw new Error("the test's batch is full");
    this.bytes.set(bytes, this.batch.offset[row]);
    return row;
  }

  /** A copy of a row's bytes. */
  row(row: number): Uint8Array {
    const at = this.batch.offset[row];
    return this.bytes.slice(at, at + this.batch.length[row]);
  }

  /** Copies of all rows' bytes. */
  rows(): Uint8Array[] {
    return Array.from({ length: this.batch.count }, (_, row) => this.row(row));
  }
}

/** `length` bytes that tell messages apart: a 32-bit number, then a pattern of it. */
export function numbered(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = number * 31 + i * 7;
  if (length >= 4) new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

/** A UDP socket of the runtime: the far end that none of our code serves. */
export class PlainSocket implements Disposable {
  readonly port: number;
  readonly #socket: Deno.DatagramConn;

  constructor(hostname: string) {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    this.port = (this.#socket.addr as Deno.NetAddr).port;
  }

  /** Sends one datagram. */
  async send(
    bytes: Uint8Array,
    to: { readonly hostname: string; readonly port: number },
  ): Promise<void> {
    await this.#socket.send(bytes, { transport: "udp", ...to });
  }

  /** Waits for one datagram. */
  async receive(): Promise<
    { readonly bytes: Uint8Array; readonly from: Deno.NetAddr }
  > {
    const [bytes, from] = await this.#socket.receive(new Uint8Array(65536));
    return { bytes, from: from as Deno.NetAddr };
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
