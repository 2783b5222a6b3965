/**
 * What becomes of the TCP segments that clients send:
 *
 *     SYN, new pair          row Dialing, SYN -> ToRelay; held until the relay has connected
 *     SYN again, Dialing     dropped and counted: the relay has it
 *     anything, Open         rewritten -> ToHost
 *     other SYN, same pair   the old connection is abandoned, a new one begins
 *     no SYN, no row         RST (RFC 9293 section 3.10.7.1)
 *
 * For the open worker.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { makePlain } from "../flow/headers.ts";
import type { Redirect } from "../flow/redirect.ts";
import {
  generationIn,
  RedirectState,
  type RedirectTable,
  stateIn,
} from "../flow/redirect_table.ts";
import { ChecksumForm, type Sum } from "../wire/checksum.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { FragmentKind, type PacketView } from "../wire/packet_view.ts";
import { pseudoHeader, verifyTransport } from "../wire/transport_checksum.ts";
import * as tcp from "../wire/tcp.ts";
import type { LargestSegment } from "./largest_segment.ts";
import type { RedirectLife } from "./redirect_life.ts";
import type { TcpRelayConfig } from "./tcp_relay_config.ts";

/** What decides together. */
export interface ClientSegmentsOptions {
  readonly config: TcpRelayConfig;
  readonly redirect: Redirect;
  readonly table: RedirectTable;
  readonly life: RedirectLife;
  readonly mss: LargestSegment;
  /** Where answers of our own go. */
  readonly answer: Verdict;
  readonly sum: Sum;
}

const LONGEST_RESET = ipv6.HEADER_LENGTH + tcp.HEADER_LENGTH;
const SYN_BITS = tcp.Flag.Syn | tcp.Flag.Ack | tcp.Flag.Rst | tcp.Flag.Fin;
const CONTROL_BITS = tcp.Flag.Syn | tcp.Flag.Rst | tcp.Flag.Fin;

/** See the module header. */
export class ClientSegments {
  readonly #config: TcpRelayConfig;
  readonly #redirect: Redirect;
  readonly #table: RedirectTable;
  readonly #life: RedirectLife;
  readonly #mss: LargestSegment;
  readonly #answer: Verdict;
  readonly #sum: Sum;

  constructor(options: ClientSegmentsOptions) {
    this.#config = options.config;
    this.#redirect = options.redirect;
    this.#table = options.table;
    this.#life = options.life;
    this.#mss = options.mss;
    this.#answer = options.answer;
    this.#sum = options.sum;
  }

  /**
   * Decides a row that holds a client's TCP packet, parsed into
   * `view`, of a version that the relay serves. May append an answer.
   * @param form of the packet's TCP checksum
   */
  decide(
    batch: Batch,
    row: number,
    view: PacketView,
    now: number,
    form: ChecksumForm,
  ): void {
    if (view.fragment !== FragmentKind.None) {
      return batch.drop(row, DropReason.TcpNoConnection);
    }
    const table = this.#table;
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

  /** A client's segment for an open connection that changes nothing but how far it has come. */
  #noteClient(
    found: number,
    generation: number,
    b: Uint8Array,
    view: PacketView,
    now: number,
  ): void {
    const table = this.#table;
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
      const table = this.#table;
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
    const table = this.#table;
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
    const table = this.#table;
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
    const table = this.#table;
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
    const table = this.#table;
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
    this.#mss.clamp(bytes, at, payloadAt, payloadLength, form);
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
      this.#mss.clamp(bytes, at, payloadAt, view.payloadLength, form);
    }
    this.#redirect.toRelay(bytes, at, payloadAt, found, generation, form);
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
}

/** Where the packets come from no peer there is one owner of all. */
function ownerOf(peer: number): number {
  return peer < 0 ? 0 : peer;
}
