/**
 * The one contract of all kinds of tunnels: connect, disconnect, status, the
 * tunnel's own address, a probe by real traffic. `packet_provider.ts` has it for
 * WireGuard and AmneziaWG, `proxy_provider.ts` for SOCKS5 and HTTP.
 */
import type { TunnelCarries } from "../../core/route/rules/facts.ts";
import type { FlowVerdict } from "../../core/flow/flow_table.ts";
import type { ClientEngine } from "../client_engine.ts";
import type { Resolver, TunnelDefinition } from "./client_plan.ts";
import type { Clock } from "./clock.ts";
import type { ProbeOutcome } from "./probe_outcome.ts";
import type { Prober } from "./probes.ts";
import type { Trust } from "./tunnel_output.ts";

/** How a connected tunnel fares. */
export interface ProviderStatus {
  /** Where its other end is; undefined while that is not known. */
  readonly endpoint:
    | { readonly words: Int32Array; readonly port: number }
    | undefined;
  /** By the common clock in ms; undefined where there was none, or it has none. */
  readonly lastHandshakeAt: number | undefined;
  /** Undefined where only flows are counted. */
  readonly traffic:
    | { readonly sentBytes: number; readonly receivedBytes: number }
    | undefined;
}

/** A tunnel of any kind. One operation at a time; the registry sees to that. */
export interface TunnelProvider {
  /** Names and addresses of its other ends, to be looked up before it connects. */
  readonly hosts: readonly string[];
  readonly carries: TunnelCarries;
  /** Which way its flows go in the packet side. */
  readonly way: FlowVerdict["way"];
  readonly resolvers: readonly Resolver[];
  /** Other resolvers and another health plan; the way itself is the same. */
  adjust(definition: TunnelDefinition): void;
  /** Its own address, which the world behind it sees or translates; undefined where it has none. */
  adapterAddress(family: 4 | 6): Int32Array | undefined;
  /**
   * Makes the way out lead to these addresses, one for each of the hosts.
   * @throws {Error} with a line for people.
   */
  connect(addresses: readonly Int32Array[]): Promise<void>;
  /** Takes the way out away, where there is one. */
  disconnect(): Promise<void>;
  status(): ProviderStatus;
  /** Sends something through and waits for what comes back. */
  probe(trust: Trust): Promise<ProbeOutcome>;
}

/** What a provider works with. */
export interface ProviderOptions<Definition = TunnelDefinition> {
  readonly definition: Definition;
  /** Its number in the packet side, 1 to 31. */
  readonly outbound: number;
  readonly engine: ClientEngine;
  readonly clock: Clock;
  readonly prober: Prober;
}

/** A provider's definition of some kinds of tunnels. */
export type DefinitionOf<Type extends TunnelDefinition["type"]> = Extract<
  TunnelDefinition,
  { readonly type: Type }
>;
