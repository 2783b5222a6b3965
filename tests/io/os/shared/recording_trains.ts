/** A system that writes down how rows leave its outside sockets. */
import type { Batch } from "../../../../src/core/columns/batch.ts";
import type { FailedRows } from "../../../../src/io/os/shared/failed_rows.ts";
import {
  goesToSameRemote,
  type OutsideMessages,
  type OutsideTrains,
} from "../../../../src/io/os/shared/outside_sender.ts";
import type { WaitingMessages } from "../../../../src/io/os/shared/waiting_messages.ts";

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
  readonly #messages: WaitingMessages;

  constructor({ messages, failed }: OutsideMessages) {
    this.#messages = messages;
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

  /** A row's bytes lie at its number, as the tests make them. */
  send(_batch: Batch, socket: number): void {
    const { at, group, count } = this.#messages;
    const groups: number[][] = [];
    for (let message = 0; message < count; message++) {
      const row = at[message];
      if (message === 0 || group[message] !== group[message - 1]) {
        groups.push([]);
      }
      groups.at(-1)!.push(row);
      const errno = this.refused.get(row);
      if (errno !== undefined) this.#failed.add(message, errno);
    }
    this.sent.push({ socket, mode: this.#mode.get(socket)!, groups });
    this.#messages.count = 0;
  }
}
