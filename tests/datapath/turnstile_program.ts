/**
 * A worker of turnstile_test.ts: takes numbers, works on them for a while, puts
 * them into a log. What only one worker at a time may touch is touched without
 * Atomics, so that two at once would show.
 */
import { Turnstile } from "../../src/datapath/turnstile.ts";

/** What the workers share. */
export interface TurnstileSetup {
  readonly turnstile: SharedArrayBuffer;
  readonly cells: SharedArrayBuffer;
  readonly log: SharedArrayBuffer;
  readonly seed: number;
  /** How many start together. */
  readonly workers: number;
}

/** Cells: the next number, the log's length, workers at a place, workers that are there. */
const Cell = { Next: 0, Logged: 1, AtInput: 2, AtOutput: 3, Ready: 4 } as const;

const port = self as unknown as {
  onmessage: (event: MessageEvent<TurnstileSetup>) => void;
  postMessage(message: unknown): void;
};

port.onmessage = ({ data }) => {
  const turnstile = new Turnstile(data.turnstile);
  const cells = new Int32Array(data.cells);
  const log = new Int32Array(data.log);
  let random = data.seed;
  let meetings = 0;
  let taken = 0;
  let ready = Atomics.add(cells, Cell.Ready, 1) + 1;
  Atomics.notify(cells, Cell.Ready);
  while (ready < data.workers) {
    Atomics.wait(cells, Cell.Ready, ready);
    ready = Atomics.load(cells, Cell.Ready);
  }
  turnstile.enter();
  while (cells[Cell.Next] < log.length) {
    meetings += Atomics.add(cells, Cell.AtInput, 1);
    const number = cells[Cell.Next];
    cells[Cell.Next] = number + 1;
    taken++;
    const ticket = turnstile.draw();
    Atomics.sub(cells, Cell.AtInput, 1);
    turnstile.leave();
    random = Math.imul(random, 1664525) + 1013904223 | 0;
    for (let left = random >>> 20; left > 0; left--) Math.sqrt(left);
    turnstile.await(ticket);
    meetings += Atomics.add(cells, Cell.AtOutput, 1);
    log[cells[Cell.Logged]] = number;
    cells[Cell.Logged]++;
    Atomics.sub(cells, Cell.AtOutput, 1);
    turnstile.pass(ticket);
    turnstile.enter();
  }
  turnstile.leave();
  port.postMessage({ meetings, taken });
};
