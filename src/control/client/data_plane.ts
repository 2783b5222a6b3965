/**
 * What the control plane asks of the threads that carry a client's traffic, and
 * what it is told by them. The client's process implements it; tests pretend to.
 *
 * Ways out have numbers: 0 is direct, tunnels have 1 to 31. A flow has a row of
 * the flow table and that row's generation: an answer for a row that has been
 * given to another flow meanwhile is not taken.
 */
import type { WgConf } from "../../config/wg_conf.ts";
import type { AddressWords } from "../../core/wire/address.ts";
import type { DialerSetup } from "../../io/ports/dialer.ts";
import type { Egress } from "../../io/ports/host_network.ts";

/** The number of the way out that is no tunnel. */
export const DIRECT_OUTBOUND = 0;
/** The greatest number of a way out. */
export const LAST_OUTBOUND = 31;

/** An end of a flow, or a place to send to. */
export interface FlowEnd {
  /** Four address words. */
  readonly words: AddressWords;
  /** 0 where the protocol has none; the identifier of an ICMP echo. */
  readonly port: number;
}

/** The first packet of a flow: what is to become of it? */
export interface FlowAsk {
  readonly row: number;
  readonly generation: number;
  /** IP protocol number. */
  readonly protocol: number;
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  /** `none` where it is left out. */
  readonly fragment?: "none" | "first" | "later";
  /** The first question, where it is a DNS query. */
  readonly query?: { readonly name: string; readonly type: number };
}

/** What a flow gets. */
export interface FlowSettlement {
  readonly way: "drop" | "direct" | "proxy" | "packet";
  readonly outbound: number;
  /** The rule that decided, from 0; -1 where it was none. */
  readonly rule: number;
  /** Where it is really sent, in place of its own destination. */
  readonly to?: FlowEnd;
}

/** A flow of the table, as it stands. */
export interface FlowTraffic {
  readonly row: number;
  readonly generation: number;
  readonly protocol: number;
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  readonly way: "waiting" | FlowSettlement["way"];
  readonly outbound: number;
  /** Times in ms of the common clock. */
  readonly createdAt: number;
  readonly lastAt: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** A WireGuard or AmneziaWG tunnel with its endpoints resolved. */
export interface PacketTunnelSetup {
  readonly conf: WgConf;
  /** For each peer of the conf in its order; undefined where it has none. */
  readonly endpoints: readonly (FlowEnd | undefined)[];
  readonly mtu: number;
}

/** How a packet tunnel fares. */
export interface PacketStatus {
  /** When a handshake was last completed, by the common clock; undefined before the first. */
  readonly lastHandshakeAt: number | undefined;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Where the peer answers from now. */
  readonly endpoint: FlowEnd | undefined;
}

/** How packets leave the host now; undefined without a way in that family. */
export interface EgressChoice {
  readonly ipv4: (Egress & { readonly interfaceName?: string }) | undefined;
  readonly ipv6: (Egress & { readonly interfaceName?: string }) | undefined;
}

/** The threads that carry. */
export interface DataPlane {
  /** Makes a way out, or gives it another setup. @throws {Error} where it can't. */
  attachPacketTunnel(outbound: number, setup: PacketTunnelSetup): void;
  attachProxy(outbound: number, setup: DialerSetup): void;
  /** Ends a way out; its flows are to be settled elsewhere before. */
  detach(outbound: number): void;
  /** Decides a flow, for the first time or again. A stale generation is ignored. */
  settle(row: number, generation: number, settlement: FlowSettlement): void;
  /** Every living flow. */
  flows(): Iterable<FlowTraffic>;
  /** Own sockets leave by these interfaces from now on. */
  setEgress(egress: EgressChoice): void;
  /** Closes proxy connections, forgets translations, drops held packets. */
  reset(): void;
  /** Starts a handshake with every peer of a packet tunnel. */
  handshakeNow(outbound: number): void;
  /** Undefined where there is no such packet tunnel. */
  packetStatus(outbound: number): PacketStatus | undefined;
}
