/**
 * The last step of every packet that goes to a peer: it has to fit the tunnel.
 */
import type { Batch } from "../columns/batch.ts";
import { ColumnAllocator } from "../columns/columns.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import type { NatTable } from "../flow/nat.ts";
import { splitRow } from "../flow/split.ts";
import { translateInbound } from "../flow/translate.ts";
import type { Sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import type { PacketView } from "../wire/packet_view.ts";
import { ErrorKind, type ErrorReplies } from "./error_replies.ts";

/** Hands packets to peers. */
export class PeerDelivery {
  /** Bytes of its columns. */
  static readonly byteLength = 8;

  readonly #mtu: number;
  readonly #errors: ErrorReplies;
  /** One cell, counted by Atomics. */
  readonly #identification: Int32Array;

  /** @param columns zeroed, or those of another thread. */
  constructor(
    mtu: number,
    errors: ErrorReplies,
    columns = new ColumnAllocator(new ArrayBuffer(PeerDelivery.byteLength)),
  ) {
    this.#mtu = mtu;
    this.#errors = errors;
    this.#identification = columns.int32(1);
  }

  /** The next identification for an IPv4 header of our own (RFC 6864). */
  nextIdentification(): number {
    return this.#nextIdentification32() & 0xffff;
  }

  /** Hands a packet that the gateway built (IPv6: no extension headers) to a peer. */
  deliver(batch: Batch, row: number, peer: number): void {
    batch.decide(row, Verdict.ToPeer, peer);
    if (batch.length[row] <= this.#mtu) return;
    splitRow(batch, row, this.#mtu, this.#nextIdentification32());
  }

  /**
   * Makes what a mapping's socket received a packet for the mapping's peer.
   * @returns false where it would be longer than IP allows: it is dropped
   */
  deliverTranslated(
    batch: Batch,
    row: number,
    nat: NatTable,
    mapping: number,
    hopLimit: number,
    sum: Sum,
  ): boolean {
    const identification = this.nextIdentification();
    const isTranslated = translateInbound(
      batch,
      row,
      nat,
      mapping,
      hopLimit,
      identification,
      sum,
    );
    if (isTranslated) this.deliver(batch, row, nat.peer[mapping]);
    else batch.drop(row, DropReason.BadTotalLength);
    return isTranslated;
  }

  /**
   * Forwards another peer's packet, parsed into `view`, as a router: one hop
   * less, fragments where IPv4 allows them (RFC 1812 section 5.3.1, RFC 8200).
   */
  forward(
    batch: Batch,
    row: number,
    view: PacketView,
    peer: number,
    now: number,
  ): void {
    const { bytes } = batch;
    const { at } = view;
    const from = batch.peer[row];
    if (view.hopLimit <= 1) {
      batch.drop(row, DropReason.HopLimitExceeded);
      this.#errors.reply(batch, view, from, ErrorKind.TimeExceeded, 0, now);
      return;
    }
    const isIpv4 = view.version === 4;
    const tooBig = view.totalLength > this.#mtu;
    if (tooBig && (!isIpv4 || ipv4.dontFragment(bytes, at))) {
      batch.drop(row, DropReason.TooBig);
      this.#errors.reply(batch, view, from, ErrorKind.TooBig, this.#mtu, now);
      return;
    }
    if (isIpv4) ipv4.setTimeToLive(bytes, at, view.hopLimit - 1);
    else ipv6.setHopLimit(bytes, at, view.hopLimit - 1);
    batch.decide(row, Verdict.ToPeer, peer);
    if (tooBig) splitRow(batch, row, this.#mtu, 0);
  }

  #nextIdentification32(): number {
    return (Atomics.add(this.#identification, 0, 1) + 1) | 0;
  }
}
