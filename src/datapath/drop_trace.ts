/**
 * What a worker shows of dropped packets: their beginnings, by a ring, so many a
 * second. Where nobody asked for it, or the ring is full, nothing is shown.
 */
import { ControlMessage } from "../core/columns/control_message.ts";
import type { Batch } from "../core/columns/batch.ts";
import type { DropReason } from "../core/columns/drop_reason.ts";
import type { Ring } from "../core/columns/ring.ts";

/** Bytes of a dropped packet that its trace may show. */
const TRACE_LENGTH = 96;
/** Drops traced per second; more are only counted. */
const TRACES_PER_SECOND = 50;

/** A worker's end of it. */
export class DropTrace {
  readonly #ring: Ring | undefined;
  #left = TRACES_PER_SECOND;
  #second = 0;

  /** @param ring undefined where nobody wants to see them. */
  constructor(ring: Ring | undefined) {
    this.#ring = ring;
  }

  /** Shows a row that was dropped. @returns whether a message was written. */
  dropped(batch: Batch, row: number, reason: DropReason, now: number): boolean {
    if (this.#ring === undefined) return false;
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#left = TRACES_PER_SECOND;
    }
    if (this.#left === 0) return false;
    this.#left--;
    return this.#ring.tryWrite(
      ControlMessage.Drop,
      reason,
      batch.peer[row],
      batch.bytes,
      batch.offset[row],
      Math.min(batch.length[row], TRACE_LENGTH),
    );
  }
}
