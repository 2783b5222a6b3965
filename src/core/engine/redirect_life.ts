/**
 * When rows of the redirect table end, and when they are used again.
 *
 *     over (both FINs acknowledged, a RST)   Closed: rests, late packets pass
 *     idle, abandoned, its peer removed      forgotten, the relay told: rests
 *     refused by the relay                   forgotten: rests
 *     rested                                 free
 *
 * Where the relay can't be told at once the row owes it that: it is told when
 * the row has rested, and no row is used again before. For the open worker.
 */
import {
  generationIn,
  RedirectState,
  type RedirectTable,
  stateIn,
} from "../flow/redirect_table.ts";
import type { TcpRelayConfig } from "./tcp_relay_config.ts";

/** The way from the open worker to the relay, besides Verdict.ToRelay. */
export interface RelayCommands {
  /**
   * Says that a connection is over (RelayMessage.Abandon).
   * @returns false where that must wait.
   */
  abandon(row: number, generation: number): boolean;
  /** Lets the relay see what it was told. */
  flush(): void;
}

/** How long connections may be idle. */
export type RedirectTimeouts = Pick<
  TcpRelayConfig,
  "establishedTimeoutMs" | "transitoryTimeoutMs"
>;

/** How long a row rests: with 64 generations its port comes back after TIME_WAIT (RFC 9293 section 3.4.1, Linux: 60 s). */
export const REST_MS = 2000;
/** Rows that one tick looks at. */
const SWEPT_ROWS = 16_384;

/** Ends rows. */
export class RedirectLife {
  readonly #table: RedirectTable;
  readonly #limits: RedirectTimeouts;
  readonly #commands: RelayCommands;

  /** @param commands absent in a worker that only reads. */
  constructor(
    table: RedirectTable,
    limits: RedirectTimeouts,
    commands: RelayCommands | undefined,
  ) {
    this.#table = table;
    this.#limits = limits;
    this.#commands = commands ?? NO_COMMANDS;
  }

  /** Ends what is over or idle, a bounded number of rows a call. About once a second. */
  tick(now: number): void {
    const table = this.#table;
    this.#releaseRested(now - REST_MS);
    const count = Math.min(SWEPT_ROWS, table.highWater);
    for (let n = 0; n < count; n++) this.#sweep(table.nextSwept(), now);
    this.#commands.flush();
  }

  /** Ends all connections of a peer that was removed. */
  removePeer(peer: number, now: number): void {
    const table = this.#table;
    for (let row = 0; row < table.highWater; row++) {
      if (table.isLinked(row) && table.peer[row] === peer) {
        this.abandon(row, now);
      }
    }
    this.#commands.flush();
  }

  /**
   * Ends a row whatever it holds. Where its connection is not over the relay is
   * told: at once, or when the row has rested.
   */
  abandon(row: number, now: number): void {
    const table = this.#table;
    // The host's last acknowledgment may have passed since the last tick.
    if (table.progress.isOver(row, table.generationOf(row), now)) {
      table.close(row, now);
    }
    const state = table.stateOf(row);
    const isOwed = state === RedirectState.Dialing ||
      state === RedirectState.Open || table.isOwing(row);
    table.forget(row, now);
    table.setOwing(row, isOwed && !this.#tell(row) ? 1 : 0);
  }

  /** A row for a new connection, or -1 where there is none. */
  take(now: number): number {
    const table = this.#table;
    const row = table.take();
    if (row >= 0) return row;
    // None is left that has rested: the one that has rested longest, if not just ended.
    const rested = table.rested(now);
    if (rested < 0 || !this.#settleDebt(rested)) return -1;
    table.release();
    return table.take();
  }

  #tell(row: number): boolean {
    return this.#commands.abandon(row, this.#table.generationOf(row));
  }

  #releaseRested(before: number): void {
    const table = this.#table;
    for (let n = 0; n < SWEPT_ROWS; n++) {
      const row = table.rested(before);
      if (row < 0 || !this.#settleDebt(row)) return;
      table.release();
    }
  }

  #settleDebt(row: number): boolean {
    if (!this.#table.isOwing(row)) return true;
    if (!this.#tell(row)) return false;
    this.#table.setOwing(row, 0);
    return true;
  }

  #sweep(row: number, now: number): void {
    const table = this.#table;
    const { establishedTimeoutMs, transitoryTimeoutMs } = this.#limits;
    const word = table.wordOf(row);
    const generation = generationIn(word);
    switch (stateIn(word)) {
      case RedirectState.Refused:
        return table.forget(row, now);
      case RedirectState.Dialing:
      case RedirectState.Open: {
        const { progress } = table;
        if (progress.isOver(row, generation, now)) return table.close(row, now);
        const timeout = progress.isEstablished(row, generation)
          ? establishedTimeoutMs
          : transitoryTimeoutMs;
        if (progress.idle(row, generation, now) >= timeout) {
          this.abandon(row, now);
        }
      }
    }
  }
}

const NO_COMMANDS: RelayCommands = {
  abandon: () => wrongWorker(),
  flush: () => wrongWorker(),
};

function wrongWorker(): never {
  throw new TypeError("this relay was made without commands");
}
