/**
 * Packets that wait for a session, per peer, bounded for each peer and for all
 * together. Where there is no room, the peer's oldest packet gives way.
 */

/** How many packets may wait. */
export interface StagingLimits {
  readonly perPeer: number;
  readonly total: number;
}

/** Bounds that hold a burst while a handshake runs. */
export const STAGING_LIMITS: StagingLimits = { perPeer: 128, total: 4096 };

/** The waiting packets of all peers. */
export class Staging {
  readonly #limits: StagingLimits;
  readonly #queues = new Map<number, Uint8Array[]>();
  #total = 0;
  #dropped = 0;

  constructor(limits: StagingLimits) {
    this.#limits = limits;
  }

  /** Packets that wait now, of all peers. */
  get total(): number {
    return this.#total;
  }

  /** Packets that were dropped because there was no room or no session came. */
  get dropped(): number {
    return this.#dropped;
  }

  /** True where a packet of the peer waits. */
  has(peer: number): boolean {
    return this.#queues.has(peer);
  }

  /** Keeps a copy of a packet. @returns false where it was dropped itself. */
  add(peer: number, packet: Uint8Array): boolean {
    const queue = this.#queues.get(peer);
    if (queue === undefined) {
      if (this.#total >= this.#limits.total) {
        this.#dropped++;
        return false;
      }
      this.#queues.set(peer, [packet.slice()]);
      this.#total++;
      return true;
    }
    if (
      queue.length >= this.#limits.perPeer || this.#total >= this.#limits.total
    ) {
      queue.shift();
      this.#total--;
      this.#dropped++;
    }
    queue.push(packet.slice());
    this.#total++;
    return true;
  }

  /** Takes all packets of a peer, oldest first. */
  take(peer: number): readonly Uint8Array[] {
    const queue = this.#queues.get(peer);
    if (queue === undefined) return [];
    this.#queues.delete(peer);
    this.#total -= queue.length;
    return queue;
  }

  /** Drops all packets of a peer. @returns how many. */
  drop(peer: number): number {
    const count = this.take(peer).length;
    this.#dropped += count;
    return count;
  }
}
