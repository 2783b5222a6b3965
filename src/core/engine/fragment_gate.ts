/**
 * Where fragments wait that the gateway has to read whole: what goes to the
 * outside, and echo requests to the gateway itself.
 */
import type { Batch } from "../columns/batch.ts";
import type { ColumnAllocator } from "../columns/columns.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { Reassembly, type ReassemblyOptions } from "../flow/reassembly.ts";
import type { PacketView } from "../wire/packet_view.ts";

/** Reassembly over batches. */
export class FragmentGate {
  readonly #reassembly: Reassembly;

  /** @param columns as {@linkcode Reassembly} takes them. */
  constructor(options: ReassemblyOptions, columns?: ColumnAllocator) {
    this.#reassembly = new Reassembly(options, columns);
  }

  /** Datagrams that wait. */
  get size(): number {
    return this.#reassembly.size;
  }

  /**
   * Takes a fragment's row, parsed into `view`, and decides it: Held or Drop.
   * @returns an appended row, undecided, that holds the whole packet; -1 where
   *   parts are missing or the batch has no room for it
   */
  add(batch: Batch, row: number, view: PacketView, now: number): number {
    const peer = batch.peer[row];
    const reason = this.#reassembly.add(batch.bytes, view, peer, now);
    if (reason !== DropReason.None) {
      batch.drop(row, reason);
      return -1;
    }
    batch.decide(row, Verdict.Held, 0);
    const slot = this.#reassembly.completed;
    if (slot < 0) return -1;
    const whole = batch.append(this.#reassembly.lengthOf(slot), peer);
    if (whole < 0) {
      this.#reassembly.free(slot);
      batch.drop(row, DropReason.BatchFull);
      return -1;
    }
    this.#reassembly.takeOut(slot, batch.bytes, batch.offset[whole]);
    return whole;
  }

  /** Counts datagrams that were given up: an empty row, dropped, for each. */
  expire(batch: Batch, now: number): void {
    for (let left = this.#reassembly.expire(now); left > 0; left--) {
      const row = batch.push(0, 0, -1);
      if (row < 0) return;
      batch.drop(row, DropReason.FragmentTimeout);
    }
  }
}
