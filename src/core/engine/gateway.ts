/**
 * The gateway: what becomes of every packet of its clients, its host and the
 * outside. Being written; the signatures stand.
 */
import type { Batch } from "../columns/batch.ts";
import type { NatTable, OutsideSockets } from "../flow/nat.ts";
import type { AllowedIps } from "../wireguard/allowed_ips.ts";
import type { GatewayConfig } from "./gateway_config.ts";
import type { OutsideError, SendFailure } from "./outside_error.ts";

export type { GatewayConfig } from "./gateway_config.ts";
export { type OutsideError, SendFailure } from "./outside_error.ts";

/** What a gateway works on. */
export interface GatewayOptions {
  readonly config: GatewayConfig;
  /** Shared with the other worker. */
  readonly nat: NatTable;
  /** Shared; the control thread writes it. */
  readonly allowedIps: AllowedIps;
  /** The open worker's; absent in the seal worker, which opens no sockets. */
  readonly sockets?: OutsideSockets;
}

/** One worker's view of the gateway. */
export class Gateway {
  constructor(_options: GatewayOptions) {}

  /** Open worker: decides every row, packets that peers (`batch.peer`) sent. Appended rows come decided. */
  fromTunnel(_batch: Batch, _now: number): void {}

  /**
   * Open worker: a ToUdp or ToEcho row could not be sent. The row becomes a Drop
   * and the client gets an ICMP error (an appended row, ToPeer) where one is due.
   * Call it before the batch is cleared and with the row as it was decided.
   * @param mtu the path's, where `failure` is TooBig and it is known; else 0.
   */
  sendFailed(
    _batch: Batch,
    _row: number,
    _failure: SendFailure,
    _mtu: number,
  ): void {}

  /** Open worker: ends idle mappings, a bounded number of rows a call. About once a second. */
  tick(_now: number): void {}

  /** Open worker: ends all mappings of a peer that was removed. */
  removePeer(_peer: number): void {}

  /** Seal worker: decides every row, packets that the host sent into the TUN device. */
  fromHost(_batch: Batch, _now: number): void {}

  /**
   * Seal worker: decides every row. UDP rows are payloads that the socket of NAT
   * row `target` received, with >= 48 writable bytes before them; echo rows are
   * ICMP messages, `target` the NAT row or -1 to find it by identifier.
   */
  fromOutside(_batch: Batch, _now: number): void {}

  /**
   * Seal worker: a report from the error queue of the socket of NAT row
   * `natRow` (-1: find the echo mapping by the identifier in the payload). The
   * client gets the ICMP error as an appended row, ToPeer; where it can't be
   * translated the appended row is a Drop. A mapping never ends by it.
   */
  fromOutsideError(
    _batch: Batch,
    _natRow: number,
    _error: OutsideError,
    _now: number,
  ): void {}
}
