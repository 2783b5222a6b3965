/** What programs of this host send into the interface, read in batches by the pumps of TUN stacks. */
import type { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import { Ready, type TunDevice } from "../io/ports.ts";

/** What an intake is made of. */
export interface HostIntakeOptions {
  readonly tun: TunDevice;
  readonly batch: Batch;
  readonly counters: Counters;
  readonly engine: {
    /** Decides every row: packets that were read from the interface. */
    fromHost(batch: Batch, now: number): void;
  };
}

/** Batches read from the interface before the poller is asked again. */
const ROUNDS = 4;

/** See the module header. */
export class HostIntake {
  readonly #options: HostIntakeOptions;
  /** Batches that may still be read. */
  #rounds = 0;

  constructor(options: HostIntakeOptions) {
    this.#options = options;
  }

  /** Takes note of why a wait ended: bits of {@linkcode Ready}. */
  notice(ready: number): void {
    this.#rounds = (ready & Ready.Tun) !== 0 ? ROUNDS : 0;
  }

  /**
   * Reads a batch and has it decided. @returns false where nothing is left.
   * @throws {Error} where the interface was removed.
   */
  take(now: number): boolean {
    const { tun, batch, engine, counters } = this.#options;
    if (this.#rounds === 0) return false;
    this.#rounds--;
    if (tun.read(batch) === 0) {
      if (tun.gone) throw new Error(`the interface ${tun.name} was removed`);
      this.#rounds = 0;
      return false;
    }
    for (let row = 0; row < batch.count; row++) {
      counters.add(Direction.FromHost, 1, batch.length[row]);
    }
    engine.fromHost(batch, now);
    return true;
  }
}
