/** A system that writes down how rows leave its outside sockets. */
import type { Batch } from "../../../../src/core/columns/batch.ts";
import type { FailedRows } from "../../../../src/io/os/shared/failed_rows.ts";
import {
  goesToSameRemote,
  type OutsideTrains,
} from "../../../../src/io/os/shared/outside_sender.ts";

/** Rows of one send, a list for each group. */
export interface Sent {
  readonly socket: number;
  readonly mode: number;
  readonly groups: number[][];
}

/** Sockets have multiples of 4; a row's mode is its hop limit. */
export class RecordingTrains implements OutsideTrains {
  readonly sent: Sent[] = [];
  /** Modes that were set, as «socket family mode». */
  readonly modes: string[] = [];
  /** Rows that fail, and why. */
  readonly refused = new Map<number, number>();
  readonly #failed: FailedRows;
  readonly #mode = new Map<number, number>();
  readonly #rows: number[] = [];
  readonly #groups: number[] = [];

  constructor(failed: FailedRows) {
    this.#failed = failed;
  }

  numberOf(socket: number): number {
    return socket >>> 2;
  }

  modeOf(batch: Batch, row: number): number {
    return batch.hopLimit[row];
  }

  setMode(socket: number, family: 4 | 6, mode: number): void {
    this.#mode.set(socket, mode);
    this.modes.push(`${socket} ${family} ${mode}`);
  }

  isAlike(batch: Batch, a: number, b: number): boolean {
    return goesToSameRemote(batch, a, b);
  }

  add(_batch: Batch, row: number, group: number): number {
    this.#groups.push(group);
    return this.#rows.push(row) - 1;
  }

  send(_batch: Batch, socket: number): void {
    const groups: number[][] = [];
    this.#rows.forEach((row, message) => {
      const starts = this.#groups[message] !== this.#groups[message - 1];
      if (starts) groups.push([]);
      groups.at(-1)!.push(row);
      const errno = this.refused.get(row);
      if (errno !== undefined) this.#failed.add(message, errno);
    });
    this.sent.push({ socket, mode: this.#mode.get(socket)!, groups });
    this.#rows.length = 0;
    this.#groups.length = 0;
  }
}
