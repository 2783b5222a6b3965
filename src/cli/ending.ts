/** Waits for what ends a long-running command: a signal, or its own failure. */

/** Why it ended. */
export type Ending =
  | { readonly kind: "signal"; readonly signal: Deno.Signal }
  | { readonly kind: "failure"; readonly message: string };

/** On Windows SIGHUP is a closed window and SIGTERM the system's end. */
const SIGNALS: readonly Deno.Signal[] = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  ...(Deno.build.os === "windows" ? ["SIGBREAK"] as const : []),
];

/**
 * The first of the signals that ask a program to end, or `fail`. A second
 * signal ends the process at once.
 */
export class EndingWatch implements Disposable {
  readonly ended: Promise<Ending>;
  readonly #handlers = new Map<Deno.Signal, () => void>();
  readonly #resolve: (ending: Ending) => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ended = promise;
    this.#resolve = resolve;
    for (const signal of SIGNALS) {
      const handler = () => resolve({ kind: "signal", signal });
      this.#handlers.set(signal, handler);
      Deno.addSignalListener(signal, handler);
    }
  }

  /** Ends it because it no longer works. */
  fail(message: string): void {
    this.#resolve({ kind: "failure", message });
  }

  [Symbol.dispose](): void {
    for (const [signal, handler] of this.#handlers) {
      Deno.removeSignalListener(signal, handler);
    }
  }
}
