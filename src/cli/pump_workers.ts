/**
 * The workers of a tunnel: each group has a poll set and a wake, each worker of
 * it a thread. Disposing of it closes both, once the workers have ended.
 */
import { Turnstile } from "../datapath/turnstile.ts";
import type { Platform } from "../io/platform.ts";
import type { PumpSetup } from "./pump.ts";
import type { PumpRole, WorkerGroup } from "./worker_plan.ts";
import { WorkerThread } from "./worker_thread.ts";

/** What a group's workers wait for and take turns by. */
export interface OpenedGroup extends WorkerGroup {
  readonly poller: ReturnType<Platform["openPoller"]>;
  readonly wake: ReturnType<Platform["openWake"]>;
  readonly turnstile: SharedArrayBuffer | undefined;
}

/** The part of a worker's setup that its group decides. */
export type GroupSetup = Pick<
  PumpSetup,
  "role" | "workers" | "turnstile" | "poller" | "wake"
>;

const ENTRY = import.meta.resolve("./pump_worker.ts");

/** See the module header. */
export class PumpWorkers implements Disposable {
  /** The group that opens what peers send. */
  readonly opening: OpenedGroup;
  /** The group that seals what goes to peers; may be the same. */
  readonly sealing: OpenedGroup;
  readonly #groups: readonly OpenedGroup[];
  readonly #running: WorkerThread[] = [];
  readonly #resources = new DisposableStack();

  /** Opens what the workers of a plan wait for. */
  constructor(platform: Platform, plan: readonly WorkerGroup[]) {
    using guard = new DisposableStack();
    this.#groups = plan.map((group) => ({
      ...group,
      poller: guard.use(platform.openPoller()),
      wake: guard.use(platform.openWake()),
      turnstile: group.workers > 1
        ? new SharedArrayBuffer(Turnstile.byteLength)
        : undefined,
    }));
    const find = (role: PumpRole): OpenedGroup => {
      const found = this.#groups.find((group) =>
        group.role === role || group.role === "both"
      );
      if (found === undefined) throw new RangeError(`no worker to ${role}`);
      return found;
    };
    this.opening = find("open");
    this.sealing = find("seal");
    this.#resources.use(guard.move());
  }

  /**
   * Starts all workers.
   * @param setup the rest of a worker's setup, the same for all.
   * @param onFailure told where a worker ends by itself.
   */
  start(
    setup: Omit<PumpSetup, keyof GroupSetup>,
    onFailure: (message: string) => void,
  ): void {
    for (const { role, turnstile, poller, wake, workers } of this.#groups) {
      const group: GroupSetup = {
        role,
        workers,
        turnstile,
        poller: poller.descriptor,
        wake: wake.descriptor,
      };
      for (let i = 1; i <= workers; i++) {
        const name = workers === 1 ? `${role} pump` : `${role} pump ${i}`;
        const worker = { name, entry: ENTRY, setup: { ...setup, ...group } };
        this.#running.push(new WorkerThread(worker, { onFailure }));
      }
    }
  }

  /** Waits for all workers to end, the shared stop cell being set. */
  async end(): Promise<void> {
    for (const { wake } of this.#groups) wake.signal();
    await Promise.all(this.#running.map((worker) => worker.end()));
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}
