/**
 * TCP by the system's own stack: which segments go to the relay, and how what the
 * relay answers finds its way back (the «system stack»).
 *
 *     client -> relay   see {@linkcode ClientSegments}
 *     relay  A:P -> N(g):n   rewritten; the caller sends it to the row's client
 *
 * The open worker's instance takes what clients send, ticks and forgets peers;
 * the seal worker's takes what the relay sends. Threads that take turns have one
 * each: nothing is kept outside the table.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { Redirect } from "../flow/redirect.ts";
import { RedirectState, type RedirectTable } from "../flow/redirect_table.ts";
import { ChecksumForm, type Sum, sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import type { PacketView } from "../wire/packet_view.ts";
import * as tcp from "../wire/tcp.ts";
import { ClientSegments } from "./client_segments.ts";
import { LargestSegment } from "./largest_segment.ts";
import { RedirectLife, type RelayCommands } from "./redirect_life.ts";
import type { TcpRelayConfig } from "./tcp_relay_config.ts";

export type { RelayCommands } from "./redirect_life.ts";

/** What a TcpRelay works on. */
export interface TcpRelayOptions {
  readonly config: TcpRelayConfig;
  /** Largest packet on the way to and from the client, in bytes. */
  readonly mtu: number;
  /** Shared with the other workers. */
  readonly table: RedirectTable;
  /** The open worker's; absent in the seal worker, which gives none. */
  readonly commands?: RelayCommands;
  /** Where answers of our own go: to the row's peer, or into the TUN device. */
  readonly clients: "peers" | "host";
  readonly sum?: Sum;
}

/** Decides about TCP segments between clients and the relay. */
export class TcpRelay {
  readonly table: RedirectTable;
  readonly redirect: Redirect;
  readonly #life: RedirectLife;
  readonly #segments: ClientSegments;
  readonly #mss: LargestSegment;

  constructor(options: TcpRelayOptions) {
    const { config, mtu, table } = options;
    this.table = table;
    this.redirect = new Redirect(config, table);
    this.#life = new RedirectLife(table, config, options.commands);
    this.#mss = new LargestSegment(mtu);
    this.#segments = new ClientSegments({
      config,
      redirect: this.redirect,
      table,
      life: this.#life,
      mss: this.#mss,
      answer: options.clients === "peers" ? Verdict.ToPeer : Verdict.ToHost,
      sum: options.sum ?? sum,
    });
  }

  /** Whether the relay serves an IP version; else the caller refuses. */
  serves(version: number): boolean {
    return this.redirect.serves(version);
  }

  /** Open worker: as {@linkcode ClientSegments.decide}. */
  fromClient(
    batch: Batch,
    row: number,
    view: PacketView,
    now: number,
    form: ChecksumForm = ChecksumForm.Whole,
  ): void {
    this.#segments.decide(batch, row, view, now, form);
  }

  /** Whether an address is the relay's or beside it: clients have no business there. */
  isRelayAddress(words: Int32Array, i: number): boolean {
    return this.redirect.isRelayAddress(words, i);
  }

  /** Whether a row from the TUN device, its form checked, is for {@linkcode fromRelay} to decide. */
  isFromRelay(b: Uint8Array, at: number): boolean {
    return this.redirect.isFromRelay(b, at);
  }

  /**
   * Seal worker: makes a row from the relay a packet for its client.
   * @param form of the packet's TCP checksum
   * @returns the redirect row, for the caller to decide where the client is; -1
   *   where the row was dropped.
   */
  fromRelay(
    batch: Batch,
    row: number,
    now: number,
    form: ChecksumForm = ChecksumForm.Whole,
  ): number {
    const { table, redirect } = this;
    const { bytes } = batch;
    const at = batch.offset[row];
    const end = endOf(bytes, at);
    const tcpAt = redirect.segmentFromRelay(bytes, at, end);
    const found = tcpAt < 0 ? -1 : redirect.rowOfSegment(bytes, at, tcpAt);
    if (found < 0) {
      batch.drop(row, DropReason.RelayStray);
      return -1;
    }
    const generation = table.generationOf(found);
    const length = end - tcpAt;
    if ((tcp.flags(bytes, tcpAt) & tcp.Flag.Syn) !== 0) {
      this.#mss.clamp(bytes, at, tcpAt, length, form);
    }
    redirect.fromRelay(bytes, at, tcpAt, found, form);
    // Had the row become another connection's, it would be mixed from both.
    if (!table.passes(found, generation)) {
      batch.drop(row, DropReason.RelayStray);
      return -1;
    }
    table.progress.noteHost(found, generation, bytes, tcpAt, length, now);
    batch.length[row] = end - at;
    return found;
  }

  /**
   * Open worker: a ToRelay row could not be handed over. The row becomes a Drop
   * and its connection is forgotten; the client's next SYN begins anew.
   */
  dialFailed(batch: Batch, row: number, now: number): void {
    const { table } = this;
    const redirect = batch.target[row];
    if (table.stateOf(redirect) === RedirectState.Dialing) {
      table.forget(redirect, now);
    }
    batch.drop(row, DropReason.RelayQueueFull);
  }

  /** Open worker: ends what is over or idle, a bounded number of rows a call. About once a second. */
  tick(now: number): void {
    this.#life.tick(now);
  }

  /** Open worker: ends one connection, whatever its state. */
  abandon(row: number, now: number): void {
    this.#life.abandon(row, now);
  }

  /** Open worker: ends all connections of a peer that was removed. */
  removePeer(peer: number, now: number): void {
    this.#life.removePeer(peer, now);
  }
}

/** Where an IP packet whose form has been checked ends. */
function endOf(b: Uint8Array, at: number): number {
  return at +
    (b[at] >>> 4 === 4
      ? ipv4.totalLength(b, at)
      : ipv6.HEADER_LENGTH + ipv6.payloadLength(b, at));
}
