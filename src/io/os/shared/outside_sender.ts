/**
 * Sending from outside sockets: the rows of one socket leave one after the
 * other, in trains where they are alike, whatever rows of other sockets lie
 * between them. How a row is to leave (whether it may be fragmented) is a mode
 * of its socket, changed only where it differs.
 */
import type { Batch } from "../../../core/columns/batch.ts";
import { Verdict } from "../../../core/columns/verdict.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import type { OutsideShared } from "../../ports.ts";
import { FailedRows } from "./failed_rows.ts";
import { descriptorOf } from "./outside_handle.ts";
import { OutsideModes } from "./outside_modes.ts";
import { SocketChains } from "./socket_chains.ts";
import { WaitingMessages } from "./waiting_messages.ts";

/** Rows that can wait; one more sends those before it. */
const CAPACITY = 1024;

/** Patience with a full socket: how long to wait for it to take more, and how often. */
export const OUTSIDE_PATIENCE = { fullWaitMs: 5, fullWaits: 3 } as const;

/** What is sent, and where failures go. */
export interface OutsideMessages {
  readonly messages: WaitingMessages;
  /** Is told which messages failed. */
  readonly failed: FailedRows;
}

/** Rows as a system sends them. */
export interface OutsideTrains {
  /** A socket's number among sockets: small, and no other's. */
  numberOf(socket: number): number;
  /** The mode that a row asks its socket for, below 512. */
  modeOf(batch: Batch, row: number): number;
  /** Gives a socket a mode. */
  setMode(socket: number, family: 4 | 6, mode: number): void;
  /** Whether row `b` may leave with what row `a` has beside its bytes. */
  isAlike(batch: Batch, a: number, b: number): boolean;
  /** Sends the messages that wait, each in a group named for one of its rows. */
  send(batch: Batch, socket: number): void;
}

/** Queues and sends rows of a batch. */
export class OutsideSender {
  /** Rows that could not be sent. */
  readonly failed: FailedRows = new FailedRows(CAPACITY);
  readonly #shared: OutsideShared;
  readonly #trains: OutsideTrains;
  readonly #modes: OutsideModes;
  readonly #chains = new SocketChains(CAPACITY);
  readonly #messages = new WaitingMessages(CAPACITY);
  #batch: Batch | undefined;

  /** @param trainsFor makes what sends the messages. */
  constructor(
    shared: OutsideShared,
    trainsFor: (messages: OutsideMessages) => OutsideTrains,
  ) {
    this.#shared = shared;
    this.#trains = trainsFor({
      messages: this.#messages,
      failed: this.failed,
    });
    this.#modes = new OutsideModes(shared.modes);
  }

  /** Queues a row; its bytes and columns must stay until {@linkcode flush}. */
  send(handle: number, batch: Batch, row: number): void {
    const chains = this.#chains;
    if (batch !== this.#batch || chains.count === CAPACITY) {
      this.sendQueued();
      // Nothing is queued after a flush: this comes before its next row.
      this.failed.begin();
      this.#batch = batch;
    }
    const socket = descriptorOf(this.#shared, handle);
    chains.add(socket, this.#trains.numberOf(socket), row);
  }

  /** Sends what is queued. @returns rows that failed since the last time. */
  flush(): number {
    this.sendQueued();
    return this.failed.tell();
  }

  /** Sends what is queued, the failed rows not being told yet. */
  sendQueued(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    const chains = this.#chains;
    for (let i = 0; i < chains.chains; i++) {
      this.#sendChain(batch, chains.head[i]);
    }
    chains.clear();
    this.#batch = undefined;
  }

  /** Sends the rows of one socket, in order. */
  #sendChain(batch: Batch, head: number): void {
    const { row: rows, next, socket: sockets } = this.#chains;
    const trains = this.#trains;
    const messages = this.#messages;
    const { failed } = this;
    const socket = sockets[head];
    let group = rows[head];
    const family = isMappedIpv4(batch.remote, group * 4) ? 4 : 6;
    let mode = trains.modeOf(batch, group);
    for (let entry = head; entry >= 0; entry = next[entry]) {
      const row = rows[entry];
      const own = trains.modeOf(batch, row);
      if (own !== mode) {
        this.#sendAdded(batch, socket, family, mode);
        mode = own;
      }
      if (!trains.isAlike(batch, group, row)) group = row;
      const message = messages
        .add(batch.offset[row], batch.length[row], group);
      failed.sends(message, row);
    }
    this.#sendAdded(batch, socket, family, mode);
  }

  #sendAdded(
    batch: Batch,
    socket: number,
    family: 4 | 6,
    mode: number,
  ): void {
    const trains = this.#trains;
    if (this.#modes.change(trains.numberOf(socket), mode)) {
      trains.setMode(socket, family, mode);
    }
    trains.send(batch, socket);
  }
}

/** Whether a UDP row goes to the remote of the row `a`. */
export function goesToSameRemote(batch: Batch, a: number, b: number): boolean {
  const { remote } = batch;
  const i = a * 4;
  const j = b * 4;
  return batch.verdict[b] === Verdict.ToUdp &&
    batch.remotePort[a] === batch.remotePort[b] &&
    remote[i + 3] === remote[j + 3] && remote[i + 2] === remote[j + 2] &&
    remote[i + 1] === remote[j + 1] && remote[i] === remote[j];
}

/** The port that a row goes to; an echo request has none. */
export function portOf(batch: Batch, row: number): number {
  return batch.verdict[row] === Verdict.ToEcho ? 0 : batch.remotePort[row];
}
