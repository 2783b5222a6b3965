/**
 * Frames that are to be sent, gathered by where they go: one call for all that
 * go to the host, one for all that go to adapters.
 */
import type { NdisapiSymbols } from "../../../../ffi/windows/ndisapi.ts";

/** A driver's two ways; both give frames sent. */
export interface FrameSends {
  toHost(pointers: Uint8Array<ArrayBuffer>, count: number): number;
  toNetwork(pointers: Uint8Array<ArrayBuffer>, count: number): number;
}

const HIGH = 2 ** 32;

/** Pointers of frames that go one way. */
export class FrameList {
  count = 0;
  readonly capacity: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #halves: Uint32Array;
  readonly #base: number;

  /** @param base the address that positions count from. */
  constructor(capacity: number, base: number) {
    this.capacity = capacity;
    this.bytes = new Uint8Array(capacity * 8);
    this.#halves = new Uint32Array(this.bytes.buffer);
    this.#base = base;
  }

  get isFull(): boolean {
    return this.count === this.capacity;
  }

  /** Adds the buffer at a position. */
  add(at: number): void {
    const address = this.#base + at;
    const i = this.count++ * 2;
    this.#halves[i] = address;
    this.#halves[i + 1] = address / HIGH;
  }
}

/** The driver's calls for frames of any adapters. */
export function driverSends(
  call: NdisapiSymbols,
  driver: bigint,
): FrameSends {
  const sent = new Uint32Array(32);
  const sentBytes = new Uint8Array(sent.buffer);
  return {
    toHost(pointers, count) {
      sent[0] = 0;
      call.SendPacketsToMstcpUnsorted(driver, pointers, count, sentBytes);
      return sent[0];
    },
    toNetwork(pointers, count) {
      sent[0] = 0;
      call.SendPacketsToAdaptersUnsorted(driver, pointers, count, sentBytes);
      return sent[0];
    },
  };
}

/** Both lists with their sends. */
export class FrameSender {
  readonly #sends: FrameSends;
  readonly #host: FrameList;
  readonly #network: FrameList;
  #refused = 0;

  constructor(sends: FrameSends, capacity: number, base: number) {
    this.#sends = sends;
    this.#host = new FrameList(capacity, base);
    this.#network = new FrameList(capacity, base);
  }

  /** The buffer at a position goes to the host. */
  toHost(at: number): void {
    if (this.#host.isFull) this.#flushHost();
    this.#host.add(at);
  }

  /** The buffer at a position goes to its adapter. */
  toNetwork(at: number): void {
    if (this.#network.isFull) this.#flushNetwork();
    this.#network.add(at);
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#host.count > 0) this.#flushHost();
    if (this.#network.count > 0) this.#flushNetwork();
  }

  /** Frames that the driver did not take since this was last asked. */
  takeRefused(): number {
    const refused = this.#refused;
    this.#refused = 0;
    return refused;
  }

  #flushHost(): void {
    const list = this.#host;
    this.#refused += list.count - this.#sends.toHost(list.bytes, list.count);
    list.count = 0;
  }

  #flushNetwork(): void {
    const list = this.#network;
    this.#refused += list.count - this.#sends.toNetwork(list.bytes, list.count);
    list.count = 0;
  }
}
