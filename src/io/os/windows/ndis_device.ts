/**
 * A worker's end of a capture: frames from the driver's sections or its queue
 * into the arena, verdicts carried out by batches of frames.
 *
 *     read area     buffers as the driver gave them, back to back
 *     write area    buffers for frames that are made here
 *
 * The event stays set until all is read: who finds nothing resets it and looks
 * once more. Without allocation.
 */
import type { Batch } from "../../../core/columns/batch.ts";
import { Verdict } from "../../../core/columns/verdict.ts";
import { copyBytes } from "../../../core/wire/bytes.ts";
import * as ethernet from "../../../core/wire/ethernet.ts";
import type { Area, TunDevice } from "../../ports.ts";
import { CaptureCounter } from "./ndis_block.ts";
import {
  adapterAt,
  BUFFER_LENGTH,
  BufferKind,
  bufferKind,
  clearFlags,
  FRAME_AT,
  frameLength,
  isFromHost,
  returnToHost,
  setFrameLength,
  setGoing,
} from "./ndis_buffer.ts";
import type { FastIoSection } from "./ndis_fast_io.ts";
import type { FrameLinks } from "./ndis_links.ts";
import { isLinkTalk } from "./ndis_link_talk.ts";
import { FrameSender, type FrameSends } from "./ndis_senders.ts";

/** The driver, as a device needs it. */
export interface FrameSource extends FrameSends {
  readonly sections: readonly FastIoSection[];
  /** Frames that waited in the queue, now at the read area's beginning. */
  readQueue(): number;
  /** Nothing waits any more; what comes from now on is told. */
  resetEvent(): void;
}

/** What a device is made of. */
export interface NdisDeviceOptions {
  readonly name: string;
  readonly descriptor: number;
  readonly mtu: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The arena's address. */
  readonly address: number;
  readonly readArea: Area;
  readonly writeArea: Area;
  readonly source: FrameSource;
  readonly links: FrameLinks;
  /** Cells of {@linkcode CaptureCounter}. */
  readonly counters: Float64Array;
}

/** Rows of a batch that are left for what stages append. */
const SPARE_ROWS = 512;
const HOST = 0;
const NETWORK = -1;
const SENDS = 512;
/** Frames without packets must not keep a reader for ever. */
const REFILLS = 16;
/** The shortest frame, check sequence left out; shorter packets are padded. */
const SHORTEST_FRAME = 60;

/** See the file header. */
export class NdisDevice implements TunDevice {
  readonly name: string;
  readonly descriptor: number;
  readonly mtu: number;
  readonly gone = false;
  readonly #options: NdisDeviceOptions;
  readonly #sender: FrameSender;
  /** Buffers in the read area: which is next, and how many there are. */
  #next = 0;
  #filled = 0;
  #section = 0;
  /** Where the next frame is made. */
  #writeAt: number;

  constructor(options: NdisDeviceOptions) {
    const { name, descriptor, mtu, source, address, writeArea } = options;
    this.name = name;
    this.descriptor = descriptor;
    this.mtu = mtu;
    this.#options = options;
    this.#sender = new FrameSender(source, SENDS, address);
    this.#writeAt = writeArea.start;
  }

  get pending(): boolean {
    return this.#next < this.#filled;
  }

  /** @throws {Error} where the driver's buffers are not those that we know. */
  read(batch: Batch): number {
    const before = batch.count;
    const room = Math.max(before + 1, batch.capacity - SPARE_ROWS);
    let left = REFILLS;
    while (batch.count < room) {
      if (this.#next === this.#filled) {
        if (left-- === 0) break;
        // Rows of this batch lie where the next frames would go.
        if (batch.count > before || !this.#refill()) break;
      }
      this.#take(batch);
      if (this.#next === this.#filled && batch.count === before) {
        // They were all none of ours, and their places are needed.
        this.#sender.flush();
      }
    }
    return batch.count - before;
  }

  write(batch: Batch): number {
    for (let row = 0; row < batch.count; row++) {
      switch (batch.verdict[row]) {
        case Verdict.Pass:
          this.#pass(batch, row);
          break;
        case Verdict.ToHost:
          this.#toHost(batch, row);
      }
    }
    this.#flush();
    return this.#sender.takeRefused();
  }

  [Symbol.dispose](): void {}

  /** Frames into the read area. */
  #refill(): boolean {
    const { source } = this.#options;
    this.#next = 0;
    this.#filled = this.#fill();
    if (this.#filled > 0) return true;
    source.resetEvent();
    this.#filled = this.#fill();
    return this.#filled > 0;
  }

  #fill(): number {
    const { source, readArea, counters } = this.#options;
    const { sections } = source;
    for (let n = 0; n < sections.length; n++) {
      const section = sections[this.#section];
      this.#section = (this.#section + 1) % sections.length;
      const count = section.take(readArea.start);
      if (count === 0) continue;
      counters[CaptureCounter.FastFrames] += count;
      return count;
    }
    const count = source.readQueue();
    counters[CaptureCounter.QueuedFrames] += count;
    return count;
  }

  #take(batch: Batch): void {
    const { bytes, readArea, links, counters } = this.#options;
    const at = readArea.start + this.#next++ * BUFFER_LENGTH;
    const fromHost = isFromHost(bytes, at);
    switch (bufferKind(bytes, at)) {
      case BufferKind.Ip:
        break;
      case BufferKind.Other:
        return this.#onward(at, fromHost);
      case BufferKind.Wrapped:
        counters[CaptureCounter.Wrapped]++;
        return;
      case BufferKind.Oversize:
        counters[CaptureCounter.Oversize]++;
        return;
      default:
        throw new Error(
          "the capture driver's frames lie otherwise than expected: is it a build for jumbo frames?",
        );
    }
    const frame = at + FRAME_AT;
    const header = ethernet.headerLength(bytes, frame);
    const packet = frame + header;
    const length = frameLength(bytes, at) - header;
    if (isLinkTalk(bytes, packet, length)) return this.#onward(at, fromHost);
    if (fromHost) links.learn(bytes, adapterAt(at), frame, packet);
    batch.push(packet, length, fromHost ? HOST : NETWORK);
  }

  #onward(at: number, fromHost: boolean): void {
    if (fromHost) this.#sender.toNetwork(at);
    else this.#sender.toHost(at);
  }

  /** The buffer that a row was read in, or -1. */
  #bufferOf(offset: number): number {
    const { start } = this.#options.readArea;
    const n = Math.floor((offset - start) / BUFFER_LENGTH);
    return offset >= start && n < this.#filled ? start + n * BUFFER_LENGTH : -1;
  }

  #pass(batch: Batch, row: number): void {
    const { bytes, offset, length, peer } = batch;
    const at = this.#bufferOf(offset[row]);
    if (at < 0) return this.#emit(batch, row, peer[row] >= HOST);
    const whole = offset[row] - at - FRAME_AT + length[row];
    if (whole < frameLength(bytes, at)) {
      // What pads a short one stays.
      const padded = Math.min(SHORTEST_FRAME, frameLength(bytes, at));
      setFrameLength(bytes, at, Math.max(whole, padded));
    }
    this.#onward(at, peer[row] >= HOST);
  }

  #toHost(batch: Batch, row: number): void {
    const { bytes, offset, length, peer } = batch;
    const at = this.#bufferOf(offset[row]);
    if (at < 0) return this.#emit(batch, row, false);
    if (peer[row] >= HOST && isFromHost(bytes, at)) {
      returnToHost(bytes, at, offset[row], length[row]);
    }
    this.#sender.toHost(at);
  }

  /** A frame of our own for a row that lies elsewhere. */
  #emit(batch: Batch, row: number, toNetwork: boolean): void {
    const { bytes, writeArea, links, counters } = this.#options;
    const { offset, length } = batch;
    const packet = offset[row];
    if (length[row] > ethernet.MAX_PAYLOAD) {
      counters[CaptureCounter.Oversize]++;
      return;
    }
    if (this.#writeAt + BUFFER_LENGTH > writeArea.end) this.#flush();
    const at = this.#writeAt;
    const frame = at + FRAME_AT;
    clearFlags(bytes, at);
    copyBytes(
      bytes,
      frame + ethernet.HEADER_LENGTH,
      bytes,
      packet,
      length[row],
    );
    const adapter = adapterAt(at);
    const isKnown = toNetwork
      ? links.toNetwork(bytes, adapter, frame, packet)
      : links.toHost(bytes, adapter, frame, packet);
    if (!isKnown) {
      counters[CaptureCounter.UnknownLink]++;
      return;
    }
    this.#writeAt += BUFFER_LENGTH;
    setFrameLength(bytes, at, ethernet.HEADER_LENGTH + length[row]);
    setGoing(bytes, at, toNetwork ? "network" : "host");
    if (toNetwork) this.#sender.toNetwork(at);
    else this.#sender.toHost(at);
  }

  #flush(): void {
    this.#sender.flush();
    this.#writeAt = this.#options.writeArea.start;
  }
}
