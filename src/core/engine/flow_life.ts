/**
 * When flows are over: a connection by what its packets say, or when the relay
 * has ended it; everything else by its silence.
 */
import { type FlowTable, FREE, Way } from "../flow/flow_table.ts";
import { RedirectState, type RedirectTable } from "../flow/redirect_table.ts";
import { Protocol } from "../wire/protocol.ts";
import type { SplitTunnelConfig } from "./split_tunnel_config.ts";
import { TCP_RELAY_DEFAULTS } from "./tcp_relay_config.ts";

const DNS_PORT = 53;

/** Looks at flows. */
export class FlowLife {
  readonly #flows: FlowTable;
  readonly #redirects: RedirectTable;
  readonly #config: SplitTunnelConfig;

  constructor(
    flows: FlowTable,
    redirects: RedirectTable,
    config: SplitTunnelConfig,
  ) {
    this.#flows = flows;
    this.#redirects = redirects;
    this.#config = config;
  }

  /** Whether the flow of a row is over; false where the row is free. */
  isOver(row: number, now: number): boolean {
    const flows = this.#flows;
    const way = flows.wayOf(row);
    if (way === FREE) return false;
    const idle = now - flows.traffic.lastAt(row);
    if (way === Way.Waiting) return idle >= this.#config.heldMs;
    if (way === Way.Drop) return idle >= this.#config.droppedTimeoutMs;
    if (flows.protocol[row] !== Protocol.Tcp) {
      return idle >= this.#timeout(row);
    }
    return this.#isConnectionOver(row, idle, now);
  }

  #timeout(row: number): number {
    const { gateway, dnsTimeoutMs } = this.#config;
    if (this.#flows.protocol[row] !== Protocol.Udp) {
      return gateway.icmpTimeoutMs;
    }
    return this.#flows.remotePort[row] === DNS_PORT
      ? dnsTimeoutMs
      : gateway.udpTimeoutMs;
  }

  #isConnectionOver(row: number, idle: number, now: number): boolean {
    const { progress, redirect } = this.#flows;
    const generation = this.#flows.generationOf(row);
    const { establishedTimeoutMs, transitoryTimeoutMs } =
      this.#config.gateway.relay ?? TCP_RELAY_DEFAULTS;
    const ended = redirect[row] - 1;
    if (ended >= 0) {
      const state = this.#redirects.stateOf(ended);
      return state !== RedirectState.Dialing && state !== RedirectState.Open;
    }
    return progress.isOver(row, generation, now) ||
      idle >=
        (progress.isEstablished(row, generation)
          ? establishedTimeoutMs
          : transitoryTimeoutMs);
  }
}
