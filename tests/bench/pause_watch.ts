/** How long a way carries nothing: a ping every 10 ms, and the gaps between its echoes. */
import type { Namespace } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";

/** What was the greatest since the last look; in ms. */
export interface Pauses {
  /** Between two echoes, by the kernel's clock at their arrival. */
  readonly pauseMs: number;
  readonly roundTripMs: number;
}

const INTERVAL_SECONDS = 0.01;
const ECHO = /^\[([0-9.]+)\] .* time=([0-9.]+) ms/;

/** A ping that runs until it is stopped. */
export class PauseWatch {
  #process: LoggedProcess | undefined;
  #lastEcho = NaN;
  #pauseMs = 0;
  #roundTripMs = 0;

  private constructor() {}

  /** Starts it from a namespace to an address. */
  static start(from: Namespace, address: string): PauseWatch {
    const watch = new PauseWatch();
    watch.#process = from.spawn("ping", [
      "ping",
      ...["-n", "-D", "-i", String(INTERVAL_SECONDS), address],
    ], { onLine: (line) => watch.#look(line) });
    return watch;
  }

  /** The greatest since the last call; a pause that lasts still is for the next. */
  take(): Pauses {
    const pauses = { pauseMs: this.#pauseMs, roundTripMs: this.#roundTripMs };
    this.#pauseMs = this.#roundTripMs = 0;
    return pauses;
  }

  /** Ends it. @returns ping's own count: sent, received, lost. */
  async stop(): Promise<string> {
    const process = this.#process!;
    process.signal("SIGINT");
    await process.waitForExit();
    const summary = process.lines.findLast((line) => /transmitted/.test(line));
    return summary?.replace(/, time [0-9]+ms$/, "") ?? "none";
  }

  #look(line: string): void {
    const match = line.match(ECHO);
    if (match === null) return;
    const at = Number(match[1]) * 1000;
    if (at - this.#lastEcho > this.#pauseMs) {
      this.#pauseMs = at - this.#lastEcho;
    }
    this.#lastEcho = at;
    this.#roundTripMs = Math.max(this.#roundTripMs, Number(match[2]));
  }
}
