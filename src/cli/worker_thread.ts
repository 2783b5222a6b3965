/**
 * A worker thread as both sides see it. It gets a setup, blocks until it is to
 * end, then says so, or says what kept it from running.
 */
import {
  openWorkerPlatform,
  type WorkerPlatform,
} from "../io/worker_platform.ts";
import { collectGarbage } from "./give_back_memory.ts";

/** What a worker says; `M` is what it says besides. */
export type WorkerReport<M = never> =
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "message"; readonly message: M };

/** What is done about what a worker says. */
export interface WorkerEvents<M> {
  /** The worker ended by itself. */
  onFailure(message: string): void;
  onMessage?(message: M): void;
}

/** What to start. */
export interface WorkerOptions {
  /** For messages, and for debuggers. */
  readonly name: string;
  /** The worker's module, one that calls {@linkcode serveWorker}. */
  readonly entry: string;
  /** All that it needs; survives structured cloning. */
  readonly setup: unknown;
}

/** How long a worker has to end, in ms. */
const STOP_TIMEOUT_MS = 3000;

/** A started worker. */
export class WorkerThread<M = never> {
  readonly #worker: Worker;
  readonly #ended = Promise.withResolvers<void>();
  #stopping = false;

  constructor(options: WorkerOptions, events: WorkerEvents<M>) {
    const { name, entry, setup } = options;
    const worker = new Worker(entry, { type: "module", name });
    const fail = (message: string) => {
      this.#ended.resolve();
      if (!this.#stopping) events.onFailure(`${name}: ${message}`);
    };
    worker.onmessage = ({ data }: MessageEvent<WorkerReport<M>>) => {
      switch (data.kind) {
        case "ended":
          return this.#ended.resolve();
        case "failed":
          return fail(data.message);
        case "message":
          return events.onMessage?.(data.message);
      }
    };
    worker.onerror = (event) => {
      event.preventDefault();
      fail(event.message);
    };
    worker.postMessage(setup);
    this.#worker = worker;
  }

  /** Waits for it to end, having been told and woken; not for ever. */
  async end(): Promise<void> {
    this.#stopping = true;
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, STOP_TIMEOUT_MS);
    await Promise.race([this.#ended.promise, timeout.promise]);
    clearTimeout(timer);
    this.#worker.terminate();
  }
}

/** The worker's own thread, as far as it is needed here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/**
 * What a worker's module does: waits for its setup, opens the system and runs.
 * @param run blocks until the worker is to end; `tell` sends a message.
 */
export function serveWorker<S, M = never>(
  run: (
    setup: S,
    platform: WorkerPlatform,
    tell: (message: M) => void,
  ) => void,
): void {
  const scope = globalThis as unknown as WorkerScope;
  const report = (report: WorkerReport<M>) => scope.postMessage(report);
  scope.onmessage = async ({ data }: MessageEvent<S>) => {
    try {
      using platform = await openWorkerPlatform();
      // Of loading: from here on next to nothing is allocated.
      collectGarbage();
      run(data, platform, (message) => report({ kind: "message", message }));
      report({ kind: "ended" });
    } catch (error) {
      const message = error instanceof Error
        ? error.stack ?? error.message
        : String(error);
      report({ kind: "failed", message });
    }
    scope.close();
  };
}
