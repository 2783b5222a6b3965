/**
 * Which failed dials the log hears of: those that speak of this host or of the
 * proxy, not of a destination; each kind now and then, however many there are.
 */
import { DIAL_FAILURE_KINDS, type DialFailure } from "../../io/ports/dialer.ts";

/** Between two lines about one kind, in ms. */
const INTERVAL_MS = 60_000;
const SPOKEN_OF: ReadonlySet<string> = new Set(["system", "no-descriptor"]);

/** Tells failures at a bounded rate. */
export class FailureNotes {
  readonly #tell: (line: string) => void;
  /** Per kind: when it was last told, and how many were not since. */
  readonly #toldAt = new Float64Array(DIAL_FAILURE_KINDS.length)
    .fill(-Infinity);
  readonly #untold = new Int32Array(DIAL_FAILURE_KINDS.length);

  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  /** Takes note of a failed dial. */
  note(failure: DialFailure, now: number): void {
    const { kind } = failure;
    if (!SPOKEN_OF.has(kind) && !kind.startsWith("proxy-")) return;
    const i = DIAL_FAILURE_KINDS.indexOf(kind);
    if (now - this.#toldAt[i] < INTERVAL_MS) {
      this.#untold[i]++;
      return;
    }
    const more = this.#untold[i] > 0 ? ` (and ${this.#untold[i]} before)` : "";
    this.#toldAt[i] = now;
    this.#untold[i] = 0;
    this.#tell(`a TCP connection failed: ${failure.text}${more}`);
  }
}
