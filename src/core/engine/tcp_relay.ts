/**
 * TCP by the system's own stack: which of a client's segments go to the relay,
 * and how what the relay answers finds its way back (the «system stack»).
 *
 *     client  SYN, new pair          row Dialing, SYN -> ToRelay; held until the relay has connected
 *             SYN again, Dialing     dropped and counted: the relay has it
 *             anything, Open         rewritten -> ToHost
 *             other SYN, same pair   the old connection is abandoned, a new one begins
 *             no SYN, no row         RST (RFC 9293 section 3.10.7.1)
 *     relay   A:P -> N(g):n          rewritten; the caller sends it to the row's client
 *
 * The open worker's instance takes what clients send, ticks and forgets peers;
 * the seal worker's takes what the relay sends. Threads that take turns have one
 * each: nothing is kept outside the table.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { makePlain } from "../flow/headers.ts";
import { Redirect } from "../flow/redirect.ts";
import {
  generationIn,
  RedirectState,
  type RedirectTable,
  stateIn,
} from "../flow/redirect_table.ts";
import { ChecksumForm, type Sum, sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import {
  FragmentKind,
  type PacketView,
  pseudoHeader,
  verifyTransport,
} from "../wire/packet.ts";
import * as tcp from "../wire/tcp.ts";
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

const LONGEST_RESET = ipv6.HEADER_LENGTH + tcp.HEADER_LENGTH;
const SYN_BITS = tcp.Flag.Syn | tcp.Flag.Ack | tcp.Flag.Rst | tcp.Flag.Fin;
const CONTROL_BITS = tcp.Flag.Syn | tcp.Flag.Rst | tcp.Flag.Fin;

/** Decides about TCP segments between clients and the relay. */
export class TcpRelay {
  readonly table: RedirectTable;
  readonly redirect: Redirect;
  readonly #config: TcpRelayConfig;
  readonly #life: RedirectLife;
  readonly #answer: Verdict;
  readonly #mss4: number;
  readonly #mss6: number;
  readonly #sum: Sum;

  constructor(options: TcpRelayOptions) {
    const { config, mtu, table } = options;
    this.table = table;
    this.redirect = new Redirect(config, table);
    this.#config = config;
    this.#life = new RedirectLife(table, config, options.commands);
    this.#answer = options.clients === "peers"
      ? Verdict.ToPeer
      : Verdict.ToHost;
    this.#mss4 = mtu - ipv4.HEADER_LENGTH - tcp.HEADER_LENGTH;
    this.#mss6 = mtu - ipv6.HEADER_LENGTH - tcp.HEADER_LENGTH;
    this.#sum = options.sum ?? sum;
  }

  /** Whether the relay serves an IP version; else the caller refuses. */
  serves(version: number): boolean {
    return this.redirect.serves(version);
  }

  /**
   * Open worker: decides a row that holds a client's TCP packet, parsed into
   * `view`, of a version that the relay serves. May append an answer.
   * @param form of the packet's TCP checksum
   */
  fromClient(
    batch: Batch,
    row: number,
    view: PacketView,
    now: number,
    form: ChecksumForm = ChecksumForm.Whole,
  ): void {
    if (view.fragment !== FragmentKind.None) {
      return batch.drop(row, DropReason.TcpNoConnection);
    }
    const { table } = this;
    const { bytes } = batch;
    const peer = ownerOf(batch.peer[row]);
    const flags = tcp.flags(bytes, view.payloadAt);
    const found = table.lookup(
      view.sourceWords,
      view.sourcePort,
      view.destinationWords,
      view.destinationPort,
      peer,
    );
    const word = found < 0 ? 0 : table.wordOf(found);
    if (
      (flags & CONTROL_BITS) === 0 && stateIn(word) === RedirectState.Open
    ) {
      this.#noteClient(found, generationIn(word), bytes, view, now);
      return this.#forward(batch, row, view, found, generationIn(word), form);
    }
    if (form === ChecksumForm.Whole) {
      // What changes the table is looked at more closely; the kernel checks all.
      const reason = verifyTransport(bytes, view, this.#sum);
      if (reason !== DropReason.None) return batch.drop(row, reason);
    }
    if ((flags & SYN_BITS) === tcp.Flag.Syn) {
      this.#syn(batch, row, view, found, now, form);
    } else if ((flags & tcp.Flag.Rst) !== 0) {
      this.#reset(batch, row, view, found, now, form);
    } else this.#other(batch, row, view, found, now, form);
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
      this.#clamp(bytes, at, tcpAt, length, form);
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

  /** A client's segment for an open connection that changes nothing but how far it has come. */
  #noteClient(
    found: number,
    generation: number,
    b: Uint8Array,
    view: PacketView,
    now: number,
  ): void {
    const { table } = this;
    const { progress } = table;
    progress.noteClient(found, b, view.payloadAt, view.payloadLength, now);
    // Its last acknowledgment ends a connection at once.
    if (
      progress.hasClientFin(found) && progress.isOver(found, generation, now)
    ) table.close(found, now);
  }

  #syn(
    batch: Batch,
    row: number,
    view: PacketView,
    found: number,
    now: number,
    form: ChecksumForm,
  ): void {
    if (found >= 0) {
      const { table } = this;
      const state = table.stateOf(found);
      const sequence = tcp.sequence(batch.bytes, view.payloadAt) | 0;
      if (sequence === table.initialSequence[found]) {
        if (state === RedirectState.Dialing) {
          table.progress.clientAt[found] = now;
          return batch.drop(row, DropReason.TcpHeld);
        }
        if (state === RedirectState.Open) {
          const generation = table.generationOf(found);
          this.#noteClient(found, generation, batch.bytes, view, now);
          return this.#forward(batch, row, view, found, generation, form);
        }
      }
      this.#life.abandon(found, now);
    }
    this.#begin(batch, row, view, now, form);
  }

  #reset(
    batch: Batch,
    row: number,
    view: PacketView,
    found: number,
    now: number,
    form: ChecksumForm,
  ): void {
    const { table } = this;
    const state = found < 0 ? RedirectState.Free : table.stateOf(found);
    switch (state) {
      case RedirectState.Dialing:
        if (!this.#resets(batch, view, found)) break;
        this.#life.abandon(found, now);
        return batch.decide(row, Verdict.Held, 0);
      case RedirectState.Open:
        if (this.#resets(batch, view, found)) {
          table.close(found, now);
          // The kernel tells the relay; where it takes the RST for none, we do.
          table.setOwing(found, 1);
        }
        return this.#forward(
          batch,
          row,
          view,
          found,
          table.generationOf(found),
          form,
        );
      case RedirectState.Closed: {
        const generation = table.generationOf(found);
        return this.#forward(batch, row, view, found, generation, form);
      }
    }
    batch.drop(row, DropReason.TcpNoConnection);
  }

  /** Whether a RST is one of a row's connection, not of an earlier one of the same pair. */
  #resets(batch: Batch, view: PacketView, found: number): boolean {
    const { table } = this;
    return table.progress.resets(
      found,
      table.generationOf(found),
      tcp.sequence(batch.bytes, view.payloadAt),
      table.initialSequence[found],
    );
  }

  /** A FIN, a SYN with an ACK, or a segment for a connection that is not open. */
  #other(
    batch: Batch,
    row: number,
    view: PacketView,
    found: number,
    now: number,
    form: ChecksumForm,
  ): void {
    const { table } = this;
    const state = found < 0 ? RedirectState.Free : table.stateOf(found);
    switch (state) {
      case RedirectState.Open:
      case RedirectState.Closed: {
        const generation = table.generationOf(found);
        if (state === RedirectState.Open) {
          this.#noteClient(found, generation, batch.bytes, view, now);
        }
        return this.#forward(batch, row, view, found, generation, form);
      }
      case RedirectState.Dialing:
        return batch.drop(row, DropReason.TcpNoConnection);
      default:
        batch.drop(row, DropReason.TcpNoConnection);
        this.#refuse(batch, row, view);
    }
  }

  #begin(
    batch: Batch,
    row: number,
    view: PacketView,
    now: number,
    form: ChecksumForm,
  ): void {
    const { table } = this;
    const { maxConnectionsPerPeer, maxDialingPerPeer } = this.#config;
    const { bytes } = batch;
    const peer = ownerOf(batch.peer[row]);
    if (
      table.connectionsOf(peer) >= maxConnectionsPerPeer ||
      table.dialingOf(peer) >= maxDialingPerPeer
    ) return batch.drop(row, DropReason.TcpPeerLimit);
    const taken = this.#life.take(now);
    if (taken < 0) return batch.drop(row, DropReason.TcpTableFull);
    table.begin(
      taken,
      view.sourceWords,
      view.sourcePort,
      view.destinationWords,
      view.destinationPort,
      peer,
      tcp.sequence(bytes, view.payloadAt) | 0,
      now,
    );
    makePlain(bytes, view);
    const { at, payloadAt, payloadLength } = view;
    this.#clamp(bytes, at, payloadAt, payloadLength, form);
    if (form === ChecksumForm.Partial) {
      const pseudo = pseudoHeader(bytes, view, payloadLength);
      tcp.updateChecksum(bytes, payloadAt, payloadLength, pseudo);
    }
    batch.offset[row] = at;
    batch.length[row] = view.totalLength;
    batch.decide(row, Verdict.ToRelay, taken);
  }

  #forward(
    batch: Batch,
    row: number,
    view: PacketView,
    found: number,
    generation: number,
    form: ChecksumForm,
  ): void {
    const { bytes } = batch;
    makePlain(bytes, view);
    const { at, payloadAt } = view;
    if ((tcp.flags(bytes, payloadAt) & tcp.Flag.Syn) !== 0) {
      this.#clamp(bytes, at, payloadAt, view.payloadLength, form);
    }
    this.redirect.toRelay(bytes, at, payloadAt, found, generation, form);
    batch.offset[row] = at;
    batch.length[row] = view.totalLength;
    batch.decide(row, Verdict.ToHost, 0);
  }

  /** Answers a segment of no connection with a RST, by an appended row. */
  #refuse(batch: Batch, row: number, view: PacketView): void {
    const { bytes } = batch;
    const peer = batch.peer[row];
    const reset = batch.append(LONGEST_RESET, peer);
    if (reset < 0) return;
    const at = batch.offset[reset];
    batch.length[reset] = tcp.emitReset(bytes, at, bytes, view.at);
    if (batch.length[reset] > 0) batch.decide(reset, this.#answer, peer);
    else batch.decide(reset, Verdict.Held, 0);
  }

  #clamp(
    b: Uint8Array,
    at: number,
    tcpAt: number,
    length: number,
    form: ChecksumForm,
  ): void {
    const mss = b[at] >>> 4 === 4 ? this.#mss4 : this.#mss6;
    tcp.clampMss(b, tcpAt, length, mss, form);
  }
}

/** Where the packets come from no peer there is one owner of all. */
function ownerOf(peer: number): number {
  return peer < 0 ? 0 : peer;
}

/** Where an IP packet whose form has been checked ends. */
function endOf(b: Uint8Array, at: number): number {
  return at +
    (b[at] >>> 4 === 4
      ? ipv4.totalLength(b, at)
      : ipv6.HEADER_LENGTH + ipv6.payloadLength(b, at));
}
