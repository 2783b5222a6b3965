/** What follows from a dial that failed: a count, the row's end, the client's answer, a line. */
import type { DialFailure } from "../../io/ports/dialer.ts";
import {
  ANSWER_LENGTH,
  type AnswerSource,
  emitDialAnswer,
} from "./dial_answer.ts";
import { FailureNotes } from "./failure_notes.ts";
import { RelayCount, type RelayCounters } from "./relay_counters.ts";
import type { RelayRows } from "./relay_rows.ts";

/**
 * Writes a whole IP packet to a client.
 * @param row the client's row of the redirect table; -1 where it has none
 * @returns whether there was room
 */
export type AnswerClient = (
  bytes: Uint8Array,
  at: number,
  length: number,
  row: number,
) => boolean;

/** Whom failures are told. */
export interface DialRefusalsOptions {
  readonly rows: RelayRows;
  readonly counters: RelayCounters;
  readonly answer: AnswerClient;
  readonly answerSource: AnswerSource;
  /** One line for the log. */
  readonly tell: (line: string) => void;
}

/** See the module header. */
export class DialRefusals {
  readonly #options: DialRefusalsOptions;
  readonly #notes: FailureNotes;
  readonly #packet = new Uint8Array(ANSWER_LENGTH);

  constructor(options: DialRefusalsOptions) {
    this.#options = options;
    this.#notes = new FailureNotes(options.tell);
  }

  /**
   * Tells everybody whom it concerns.
   * @param syn the client's own SYN, a whole IP packet
   */
  refuse(
    row: number,
    generation: number,
    syn: Uint8Array,
    failure: DialFailure,
    now: number,
  ): void {
    const { rows, counters, answer, answerSource } = this.#options;
    this.note(failure, now);
    counters.fail(failure.kind);
    if (!rows.settle(row, generation, "refused")) return;
    const packet = this.#packet;
    const length = emitDialAnswer(packet, syn, failure.kind, answerSource);
    if (length > 0 && !answer(packet, 0, length, row)) {
      counters.add(RelayCount.AnswersLost);
    }
  }

  /** Tells the log alone, if it is something for it. */
  note(failure: DialFailure, now: number): void {
    this.#notes.note(failure, now);
  }
}
