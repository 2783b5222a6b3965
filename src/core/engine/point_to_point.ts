/**
 * The client end of a tunnel: no translation, only cryptokey routing (WireGuard
 * paper, section 2). Packets of a peer go to the host where their source is one
 * that the peer may use; packets of the host go to the peer of their destination.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import type { AllowedIps } from "../wireguard/allowed_ips.ts";
import {
  packetLength,
  readDestination,
  readSource,
} from "../route/addresses.ts";

/** Routes between one host and its peers. */
export class PointToPoint {
  readonly #allowedIps: AllowedIps;
  readonly #words = new Int32Array(4);

  constructor(allowedIps: AllowedIps) {
    this.#allowedIps = allowedIps;
  }

  /** Decides every undecided row: packets that peers (`batch.peer`) sent. */
  fromTunnel(batch: Batch, _now: number): void {
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      if (batch.verdict[row] !== Verdict.Undecided) continue;
      const at = batch.offset[row];
      const reason = readSource(
        batch.bytes,
        at,
        batch.length[row],
        this.#words,
      );
      if (reason !== DropReason.None) {
        batch.drop(row, reason);
      } else if (!this.#belongs(batch.peer[row])) {
        batch.drop(row, DropReason.SpoofedSource);
      } else {
        batch.length[row] = packetLength(batch.bytes, at);
        batch.decide(row, Verdict.ToHost, 0);
      }
    }
  }

  /** Decides every row: packets that the host sent into the TUN device. */
  fromHost(batch: Batch, _now: number): void {
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      const at = batch.offset[row];
      const reason = readDestination(
        batch.bytes,
        at,
        batch.length[row],
        this.#words,
      );
      if (reason !== DropReason.None) {
        batch.drop(row, reason);
        continue;
      }
      const peer = this.#allowedIps.lookup(this.#words, 0);
      if (peer >= 0) batch.decide(row, Verdict.ToPeer, peer);
      else batch.drop(row, DropReason.NoPeer);
    }
  }
  #belongs(peer: number): boolean {
    return peer >= 0 && this.#allowedIps.lookup(this.#words, 0) === peer;
  }
}
