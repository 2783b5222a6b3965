/**
 * The packet tunnels of a split tunnel, by their outbounds, as its pump has them:
 * reads them in turns, seals for them, and lets go of those that are detached.
 */
import type { Batch } from "../core/columns/batch.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import type { PacketWay } from "../core/engine/packet_ways.ts";
import type { TunnelsPoller } from "../io/ports.ts";
import type { TunnelRows } from "./host_dispatch.ts";
import type { PacketTunnel } from "./packet_tunnel.ts";

/** A packet tunnel that was opened for an outbound. */
export interface AttachedTunnel {
  readonly tunnel: PacketTunnel;
  readonly way: PacketWay;
  /** The slot that it was posted in. */
  readonly slot: number;
}

/** What a set is made of. */
export interface TunnelSetOptions {
  readonly poller: TunnelsPoller;
  readonly batch: Batch;
  /** Ways out have numbers below this. */
  readonly outbounds: number;
  /** A slot is no longer used. @returns false where that can't be told now */
  readonly detached: (slot: number) => boolean;
}

/** Batches read from each tunnel before the poller is asked again. */
const ROUNDS = 4;

/** See the module header. */
export class TunnelSet implements TunnelRows, Disposable {
  readonly #options: TunnelSetOptions;
  readonly #tunnels: (AttachedTunnel | undefined)[];
  /** How many tunnels the poller reported, and reads that are left of them. */
  #reported = 0;
  #reads = 0;
  /** Tunnels that have been read empty: a bit for each outbound. */
  #drained = 0;
  /** Tunnels that have something to flush: the same. */
  #used = 0;
  /** Slots that the control thread has not heard of: it waits for each. */
  readonly #untold: number[] = [];

  constructor(options: TunnelSetOptions) {
    this.#options = options;
    this.#tunnels = new Array(options.outbounds).fill(undefined);
  }

  /** Takes note of the tunnels that the poller reports. */
  notice(): void {
    this.#reported = this.#options.poller.tunnelCount;
    this.#reads = this.#reported * ROUNDS;
    this.#drained = 0;
  }

  /** @throws {Error} where the poll set has no room. */
  attach(outbound: number, attached: AttachedTunnel): void {
    const { descriptor } = attached.tunnel.socket;
    this.#tunnels[outbound] = attached;
    if (!this.#options.poller.watchTunnel(descriptor, outbound)) {
      throw new Error("the poll set has no room for another tunnel");
    }
  }

  /** Lets an outbound's tunnel go, if it has one. */
  detach(outbound: number): void {
    const attached = this.#tunnels[outbound];
    if (attached === undefined) return;
    this.#tunnels[outbound] = undefined;
    this.#options.poller.forgetTunnel(attached.tunnel.socket.descriptor);
    this.#reads = 0;
    this.#untold.push(attached.slot);
    this.tellDetached();
  }

  /** Tells of the slots that were let go of and could not be told before. */
  tellDetached(): void {
    const untold = this.#untold;
    while (untold.length > 0 && this.#options.detached(untold[0])) {
      untold.shift();
    }
  }

  /**
   * A batch of what waits at the next of the tunnels that were reported.
   * @returns its outbound; -1 where nothing is left
   */
  receive(now: number): number {
    const { poller, batch } = this.#options;
    while (this.#reads > 0) {
      const outbound = poller.tunnel(--this.#reads % this.#reported);
      const attached = this.#tunnels[outbound];
      const bit = 1 << outbound;
      if (attached === undefined || (this.#drained & bit) !== 0) continue;
      if (attached.tunnel.receive(batch, now) > 0) return outbound;
      this.#drained |= bit;
    }
    return -1;
  }

  send(row: number, now: number): DropReason {
    const { batch } = this.#options;
    const outbound = batch.target[row];
    const attached = this.#tunnels[outbound];
    if (attached === undefined) return DropReason.NoOutbound;
    this.#used |= 1 << outbound;
    return attached.tunnel.send(batch, row, now);
  }

  flush(now: number): void {
    let used = this.#used;
    this.#used = 0;
    for (let outbound = 0; used !== 0; outbound++, used >>>= 1) {
      if ((used & 1) !== 0) this.#tunnels[outbound]?.tunnel.flush(now);
    }
  }

  /** Takes the tunnels out of the poll set; their sockets are their openers'. */
  [Symbol.dispose](): void {
    for (const attached of this.#tunnels) {
      if (attached === undefined) continue;
      this.#options.poller.forgetTunnel(attached.tunnel.socket.descriptor);
    }
  }
}
