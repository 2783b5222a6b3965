/**
 * Carries out verdicts: seals for peers, writes to the host, sends outside,
 * hands to the control thread and to the relay, counts drops. Both workers use it.
 */
import type { Batch } from "../core/columns/batch.ts";
import { type Counters, Direction } from "../core/columns/counters.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import { Verdict } from "../core/columns/verdict.ts";
import type { NatTable } from "../core/flow/nat.ts";
import type { OutsidePort, TunDevice, TunnelSocket } from "../io/ports.ts";
import type { ControlLink } from "./control_link.ts";
import type { RelayLink } from "./relay_link.ts";
import type { Sealer } from "./sealer.ts";

/** What a Dispatcher works with. */
export interface DispatcherOptions {
  readonly sealer: Sealer;
  readonly socket: TunnelSocket;
  readonly link: ControlLink;
  readonly counters: Counters;
  /** Absent where the tunnel has no device on the host. */
  readonly tun: TunDevice | undefined;
  /** Absent where nothing is translated. */
  readonly outside: OutsideSender | undefined;
  /** Left out where no TCP goes to a relay. */
  readonly relay?: RelaySender;
  /**
   * `sealed`: rows for peers are messages already (Sealer.reserve and encrypt).
   * `packed`: they are sealed here. Rows of a received train have no room for a
   * tag behind them: those are copied to where there is room.
   */
  readonly rows: "sealed" | "packed";
}

/** The way out through the translator's sockets. */
export interface OutsideSender {
  readonly port: OutsidePort;
  readonly nat: NatTable;
  /** Drops a row that could not be sent for its reason; may append answers. */
  failed(batch: Batch, row: number, errno: number, now: number): void;
}

/** The way to the TCP relay. */
export interface RelaySender {
  readonly link: RelayLink;
  /** Drops a row that could not be handed over. */
  failed(batch: Batch, row: number): void;
}

/** Executes the verdicts of a batch. */
export class Dispatcher {
  readonly #options: DispatcherOptions;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** Does what the batch's rows say, then flushes every way out. */
  dispatch(batch: Batch, now: number): void {
    const { outside, tun, socket, counters, relay } = this.#options;
    const decided = batch.count;
    this.#dispatchRows(batch, 0, now);
    if (outside !== undefined) {
      this.#flushOutside(batch, outside, now);
      // Failures may have appended answers to clients.
      this.#dispatchRows(batch, decided, now);
    }
    if (tun !== undefined) {
      const refused = tun.write(batch);
      if (refused > 0) counters.drop(DropReason.HostDeviceFull, refused);
    }
    relay?.link.flush();
    const unsent = socket.flush();
    if (unsent > 0) counters.drop(DropReason.SendFailed, unsent);
  }

  #dispatchRows(batch: Batch, from: number, now: number): void {
    const { link, counters, outside } = this.#options;
    for (let row = from; row < batch.count; row++) {
      switch (batch.verdict[row]) {
        case Verdict.ToPeer:
          this.#toPeer(batch, row, now);
          break;
        case Verdict.ToHost:
          counters.add(Direction.ToHost, 1, batch.length[row]);
          break;
        case Verdict.ToUdp:
        case Verdict.ToEcho:
          if (outside === undefined) {
            this.#drop(batch, row, DropReason.NoMapping, now);
          } else {
            counters.add(Direction.ToOutside, 1, batch.length[row]);
            const handle = outside.nat.handle[batch.target[row]];
            outside.port.send(handle, batch, row);
          }
          break;
        case Verdict.ToControl:
          if (!link.packet(batch, row)) {
            this.#drop(batch, row, DropReason.ControlQueueFull, now);
          }
          break;
        case Verdict.ToRelay:
          this.#toRelay(batch, row, now);
          break;
        case Verdict.Held:
          break;
        case Verdict.Drop:
          this.#drop(batch, row, batch.target[row], now);
          break;
        default:
          this.#drop(batch, row, DropReason.NoPeer, now);
      }
    }
  }

  #flushOutside(batch: Batch, outside: OutsideSender, now: number): void {
    const port = outside.port;
    port.flush();
    for (let i = 0; i < port.failedCount; i++) {
      const row = port.failedRow[i];
      outside.failed(batch, row, port.failedErrno[i], now);
      this.#drop(batch, row, batch.target[row], now);
    }
  }

  #toRelay(batch: Batch, row: number, now: number): void {
    const { relay } = this.#options;
    if (relay === undefined) {
      this.#drop(batch, row, DropReason.TcpNoConnection, now);
    } else if (!relay.link.dial(batch, row)) {
      relay.failed(batch, row);
      this.#drop(batch, row, batch.target[row], now);
    }
  }

  #toPeer(batch: Batch, row: number, now: number): void {
    const { sealer, link, counters, rows } = this.#options;
    const reason = rows === "sealed"
      ? sealer.send(batch, row, now, link)
      : this.#seal(batch, row, now);
    if (reason === DropReason.None) {
      counters.add(Direction.ToTunnel, 1, batch.length[row]);
    } else if (reason === DropReason.NoSession) {
      if (!link.stage(batch, row, batch.target[row])) {
        this.#drop(batch, row, DropReason.ControlQueueFull, now);
      }
    } else this.#drop(batch, row, reason, now);
  }

  #seal(batch: Batch, row: number, now: number): DropReason {
    const { sealer, link } = this.#options;
    let at = batch.offset[row];
    const length = batch.length[row];
    if (!batch.hasRoom(row)) {
      const copy = batch.reserve(length);
      if (copy < 0) return DropReason.BatchFull;
      batch.bytes.copyWithin(copy, at, at + length);
      at = copy;
    }
    return sealer.seal(at, length, batch.target[row], now, link);
  }

  #drop(batch: Batch, row: number, reason: DropReason, now: number): void {
    this.#options.counters.drop(reason);
    this.#options.link.dropped(batch, row, reason, now);
  }
}
