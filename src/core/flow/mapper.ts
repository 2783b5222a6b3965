/**
 * Makes and ends mappings: the open worker's side of the NAT's table. Ports are
 * chosen by {@linkcode PortSequence}; a mapping ends when it has been idle, when
 * its peer is removed, or when its address has gone over to another peer. It
 * never ends by an ICMP error (RFC 4787 REQ-12).
 */
import { DropReason } from "../columns/drop_reason.ts";
import { isMappedIpv4 } from "../wire/address.ts";
import { isExpired, type MappingPolicy } from "./filtering.ts";
import {
  MappingState,
  type NatTable,
  OpenFailure,
  type OutsideSockets,
} from "./nat.ts";
import { PortSequence } from "./port_sequence.ts";

/** What a mapper keeps to. */
export interface MapperLimits extends MappingPolicy {
  readonly maxMappingsPerPeer: number;
  readonly portFirst: number;
  readonly portLast: number;
}

const UDP = 17;
// Ticks in which a sweep comes round where rows are many: with one a second, an
// idle mapping outlives its timer by at most a minute.
const TICKS_PER_ROUND = 60;
// Rows that a sweep looks at in any case: well below a millisecond.
const LEAST_LOOKED = 16_384;
// Mappings that a sweep ends: whoever closes their sockets takes some
// microseconds for each, in which no packet moves.
const MOST_ENDED = 1024;

/** Opens, finds and closes mappings. */
export class Mapper {
  readonly #nat: NatTable;
  readonly #sockets: OutsideSockets;
  readonly #limits: MapperLimits;
  readonly #sequence = new PortSequence();
  #handle = 0;

  constructor(nat: NatTable, sockets: OutsideSockets, limits: MapperLimits) {
    this.#nat = nat;
    this.#sockets = sockets;
    this.#limits = limits;
  }

  /**
   * Finds or opens the mapping of an internal endpoint and refreshes it.
   * @param words address words from index `i`
   * @param port UDP port or echo identifier
   * @returns the NAT row, or minus a DropReason: MappingTableFull, NoDescriptor,
   *   NoFreePort or IcmpNotForwarded (echo sockets are not permitted).
   */
  map(
    protocol: number,
    words: Int32Array,
    i: number,
    port: number,
    peer: number,
    now: number,
  ): number {
    const row = this.#nat.lookupOutbound(protocol, words, i, port);
    if (row < 0) return this.#open(protocol, words, i, port, peer, now);
    if (this.#nat.peer[row] !== peer) {
      this.#close(row);
      return this.#open(protocol, words, i, port, peer, now);
    }
    this.#nat.lastOutboundAt[row] = now;
    return row;
  }

  /** Ends idle mappings among the next rows; how many it looks at and ends is bounded. */
  sweep(now: number): void {
    const nat = this.#nat;
    nat.reclaim();
    const rows = nat.highWater;
    const steps = Math.min(
      rows,
      Math.max(LEAST_LOOKED, Math.ceil(rows / TICKS_PER_ROUND)),
    );
    let ended = 0;
    for (let step = 0; step < steps && ended < MOST_ENDED; step++) {
      const row = nat.nextSwept();
      if (
        nat.stateOf(row) === MappingState.Open &&
        isExpired(nat, row, this.#limits, now)
      ) {
        this.#close(row);
        ended++;
      }
    }
  }

  /** Ends all mappings of a peer: at most `maxMappingsPerPeer` of them. */
  removePeer(peer: number): void {
    for (
      let row = this.#nat.firstOf(peer);
      row >= 0;
      row = this.#nat.firstOf(peer)
    ) {
      this.#close(row);
    }
  }

  #close(row: number): void {
    this.#nat.close(row);
    this.#sockets.retire(row, this.#nat.handle[row]);
  }

  #open(
    protocol: number,
    words: Int32Array,
    i: number,
    port: number,
    peer: number,
    now: number,
  ): number {
    const nat = this.#nat;
    if (nat.mappingsOf(peer) >= this.#limits.maxMappingsPerPeer) {
      return -DropReason.MappingTableFull;
    }
    const row = nat.take();
    if (row < 0) return -DropReason.MappingTableFull;
    const family = isMappedIpv4(words, i) ? 4 : 6;
    const external = this.#openSocket(protocol, family, port, row);
    if (external < 0) {
      nat.giveBack(row);
      return external;
    }
    nat.publish(
      row,
      protocol,
      words,
      i,
      port,
      peer,
      this.#handle,
      external,
      now,
    );
    return row;
  }

  /** Tries ports in order; leaves the socket in `#handle`. @returns its port, or minus a reason. */
  #openSocket(
    protocol: number,
    family: 4 | 6,
    wanted: number,
    row: number,
  ): number {
    const udp = protocol === UDP;
    const sequence = this.#sequence;
    sequence.start(
      wanted,
      udp ? this.#limits.portFirst : 1,
      udp ? this.#limits.portLast : 65535,
    );
    for (let port = sequence.next(); port >= 0; port = sequence.next()) {
      if (this.#nat.lookupExternal(protocol, family, port) >= 0) continue;
      const handle = this.#sockets.open(protocol, family, port, row);
      if (handle >= 0) {
        this.#handle = handle;
        return this.#sockets.port(handle) || port;
      }
      if (handle === OpenFailure.OutOfResources) {
        return -DropReason.NoDescriptor;
      }
      if (handle === OpenFailure.NotPermitted) {
        if (!udp) return -DropReason.IcmpNotForwarded;
        sequence.skipPrivileged();
      }
    }
    return -DropReason.NoFreePort;
  }
}
