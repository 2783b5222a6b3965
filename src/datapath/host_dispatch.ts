/**
 * Where the decided rows of a TUN stack's batch go:
 *
 *     ToHost            the interface
 *     ToUdp, ToEcho     the translator's sockets
 *     ToRelay           the relay worker: a connection to make
 *     ToRelayUdp        the relay worker: a datagram for a proxy
 *     ToTunnel          a packet tunnel, where there are some
 *     Drop              the counters
 */
import type { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import { Verdict } from "../core/columns/verdict.ts";
import type { TunDevice } from "../io/ports.ts";
import type { OutsideSender } from "./dispatcher.ts";
import type { DropTrace } from "./drop_trace.ts";
import type { RelayLink } from "./relay_link.ts";

/** The packet tunnels of a batch. */
export interface TunnelRows {
  /** Sends a ToTunnel row. @returns why it can't. */
  send(row: number, now: number): DropReason;
  /** Sends what is gathered. */
  flush(now: number): void;
}

/** What a dispatch is made of. */
export interface HostDispatchOptions {
  readonly batch: Batch;
  readonly outside: OutsideSender;
  readonly relay: RelayLink;
  readonly tcp: {
    /** A ToRelay row found no room. */
    dialFailed(batch: Batch, row: number, now: number): void;
  };
  /** Whose flows ToRelayUdp rows name; absent where they name none. */
  readonly flows?: { generationOf(row: number): number };
  readonly tunnels?: TunnelRows;
  readonly counters: Counters;
  readonly trace: DropTrace;
}

/** See the module header. */
export class HostDispatch {
  readonly #options: HostDispatchOptions;

  constructor(options: HostDispatchOptions) {
    this.#options = options;
  }

  /** Sends all rows of the batch, those for the interface by that device. */
  send(device: TunDevice, now: number): void {
    const { batch, outside, counters } = this.#options;
    const { port } = outside;
    const decided = batch.count;
    this.#sendRows(0, now);
    port.flush();
    for (let i = 0; i < port.failedCount; i++) {
      const row = port.failedRow[i];
      outside.failed(batch, row, port.failedErrno[i], now);
      this.#drop(row, now);
    }
    // Failures may have appended answers to programs.
    this.#sendRows(decided, now);
    const refused = device.write(batch);
    if (refused > 0) counters.drop(DropReason.HostDeviceFull, refused);
  }

  #sendRows(from: number, now: number): void {
    const { batch, tcp, outside, relay, counters, tunnels } = this.#options;
    const { nat } = outside;
    for (let row = from; row < batch.count; row++) {
      switch (batch.verdict[row]) {
        case Verdict.ToHost:
          counters.add(Direction.ToHost, 1, batch.length[row]);
          break;
        case Verdict.ToTunnel:
          this.#toTunnel(row, now);
          break;
        case Verdict.ToUdp:
        case Verdict.ToEcho:
          counters.add(Direction.ToOutside, 1, batch.length[row]);
          outside.port.send(nat.handle[batch.target[row]], batch, row);
          break;
        case Verdict.ToRelay:
          if (!relay.dial(batch, row)) {
            tcp.dialFailed(batch, row, now);
            this.#drop(row, now);
          }
          break;
        case Verdict.ToRelayUdp:
          if (!this.#toRelayUdp(row)) {
            batch.drop(row, DropReason.RelayQueueFull);
            this.#drop(row, now);
          }
          break;
        case Verdict.Drop:
          this.#drop(row, now);
          break;
      }
    }
    tunnels?.flush(now);
  }

  #toTunnel(row: number, now: number): void {
    const { batch, tunnels } = this.#options;
    const reason = tunnels?.send(row, now) ?? DropReason.NoOutbound;
    if (reason === DropReason.None) return;
    batch.drop(row, reason);
    this.#drop(row, now);
  }

  #toRelayUdp(row: number): boolean {
    const { batch, relay, flows } = this.#options;
    const generation = flows?.generationOf(batch.target[row]) ?? 0;
    return relay.datagram(batch, row, generation);
  }

  #drop(row: number, now: number): void {
    const { batch, counters, trace } = this.#options;
    const reason = batch.target[row];
    counters.drop(reason);
    trace.dropped(batch, row, reason, now);
  }
}
