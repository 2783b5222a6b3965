/**
 * Packets for the gateway itself: echo is answered here, DNS goes to the control
 * thread, the rest to the services of the host where the policy lets it.
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { FragmentKind, type PacketView } from "../wire/packet_view.ts";
import { verifyTransport } from "../wire/transport_checksum.ts";
import { Protocol } from "../wire/protocol.ts";
import { answerEcho, isEchoRequest } from "./echo_answer.ts";
import type { GatewayConfig } from "./gateway_config.ts";
import type { PeerDelivery } from "./peer_delivery.ts";

const DNS_PORT = 53;

/** Answers for the gateway. */
export class LocalServices {
  readonly #host: GatewayConfig["host"];
  readonly #delivery: PeerDelivery;

  constructor(host: GatewayConfig["host"], delivery: PeerDelivery) {
    this.#host = host;
    this.#delivery = delivery;
  }

  /** Decides a row for the gateway's own address in the VPN, where DNS is served. */
  atGateway(batch: Batch, row: number, view: PacketView): void {
    if (
      view.destinationPort !== DNS_PORT || view.fragment !== FragmentKind.None
    ) {
      return this.atHost(batch, row, view);
    }
    if (view.protocol === Protocol.Udp) {
      const reason = verifyTransport(batch.bytes, view);
      if (reason !== DropReason.None) batch.drop(row, reason);
      else batch.decide(row, Verdict.ToControl, 0);
    } else if (view.protocol === Protocol.Tcp && this.#host !== "absent") {
      batch.decide(row, Verdict.ToHost, 0);
    } else {
      this.atHost(batch, row, view);
    }
  }

  /** Decides a row for any address of the host. */
  atHost(batch: Batch, row: number, view: PacketView): void {
    if (isEchoRequest(view) && view.fragment === FragmentKind.None) {
      const reason = verifyTransport(batch.bytes, view);
      if (reason !== DropReason.None) return batch.drop(row, reason);
      answerEcho(batch, row, view);
      return this.#delivery.deliver(batch, row, batch.peer[row]);
    }
    if (this.#host === "allow") return batch.decide(row, Verdict.ToHost, 0);
    batch.drop(row, DropReason.HostDenied);
  }
}
