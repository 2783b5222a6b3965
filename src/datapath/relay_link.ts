/**
 * The way from the worker that has the engine to the relay worker: messages in a
 * ring, and a wake for all that were written since the last one.
 */
import type { Batch } from "../core/columns/batch.ts";
import { RelayMessage } from "../core/columns/relay_message.ts";
import type { Ring } from "../core/columns/ring.ts";
import type { RelayCommands } from "../core/engine/tcp_relay.ts";
import {
  RedirectState,
  type RedirectTable,
} from "../core/flow/redirect_table.ts";
import type { Wake } from "../io/ports.ts";

const NO_BYTES = new Uint8Array(0);

/** The engine's end of it. */
export class RelayLink implements RelayCommands {
  readonly #ring: Ring;
  readonly #wake: Wake;
  readonly #table: RedirectTable;
  #isWritten = false;

  constructor(ring: Ring, wake: Wake, table: RedirectTable) {
    this.#ring = ring;
    this.#wake = wake;
    this.#table = table;
  }

  /**
   * Hands over a ToRelay row: a client's SYN. One whose connection was given up
   * in the same batch is left out: the relay has been told so before.
   * @returns false where there is no room.
   */
  dial(batch: Batch, row: number): boolean {
    const redirect = batch.target[row];
    if (this.#table.stateOf(redirect) !== RedirectState.Dialing) return true;
    return this.#write(
      RelayMessage.Dial,
      redirect,
      this.#table.generationOf(redirect),
      batch.bytes,
      batch.offset[row],
      batch.length[row],
    );
  }

  /**
   * Hands over a ToRelayUdp row: a whole UDP packet.
   * @param generation of the flow in its target; 0 where there are no flows
   * @returns false where there is no room.
   */
  datagram(batch: Batch, row: number, generation = 0): boolean {
    const { bytes, offset, length, target } = batch;
    return this.#write(
      RelayMessage.Udp,
      target[row],
      generation,
      bytes,
      offset[row],
      length[row],
    );
  }

  abandon(row: number, generation: number): boolean {
    return this.#write(RelayMessage.Abandon, row, generation, NO_BYTES, 0, 0);
  }

  /**
   * Says that a connection is over at once: what its client has sent goes
   * nowhere any more.
   * @param outside whether the other end hears of it by a RST
   * @returns false where there is no room.
   */
  end(row: number, generation: number, outside: "reset" | "silent"): boolean {
    const kind = outside === "reset" ? RelayMessage.End : RelayMessage.Vanish;
    return this.#write(kind, row, generation, NO_BYTES, 0, 0);
  }

  /** Wakes the relay worker, where something was written since the last time. */
  flush(): void {
    if (!this.#isWritten) return;
    this.#isWritten = false;
    this.#wake.signal();
  }

  #write(
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): boolean {
    const written = this.#ring.tryWrite(kind, a, b, bytes, at, length);
    if (written) this.#isWritten = true;
    return written;
  }
}
