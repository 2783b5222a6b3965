/**
 * The packet side of a running split tunnel as control sees it: the interface
 * that captures, the flows, the packet tunnels with their handshakes, proxies.
 * Who may go where is not decided there: the first packet of a flow is held, and
 * {@linkcode ClientEvents.onAsk} asks.
 *
 *     outbound 0        direct
 *     outbound 1 .. 31  packet tunnels and proxies, as they are attached
 */
import type { FlowSnapshot, FlowVerdict } from "../core/flow/flow_table.ts";
import type { Prefix } from "../core/wire/address.ts";
import type { AmneziaParameters } from "../core/wireguard/amnezia.ts";
import type { DesiredPeer } from "./peer_sync.ts";
import type { DialerSetup } from "../io/ports.ts";
import type { CountersSnapshot } from "../core/columns/counters.ts";
import type { VerdictTraffic } from "../core/columns/verdict_counters.ts";

export type {
  FlowEnd,
  FlowSnapshot,
  FlowVerdict,
} from "../core/flow/flow_table.ts";

/** Outbounds have numbers below this. */
export const OUTBOUNDS = 32;

/** Where sockets of the direct way leave: numbers of interfaces; absent leaves it to the routes. */
export interface ClientEgress {
  readonly ipv4: number | undefined;
  readonly ipv6: number | undefined;
}

/** A packet tunnel, as a .conf file has it; names are resolved. */
export interface PacketTunnelSetup {
  readonly privateKey: Uint8Array;
  /** The tunnel's own addresses: flows get them outside. A family without one is refused. */
  readonly addresses: readonly Prefix[];
  readonly mtu: number;
  readonly peers: readonly DesiredPeer[];
  readonly amnezia: AmneziaParameters | undefined;
  /** 0 takes any. */
  readonly listenPort?: number;
}

/** How a packet tunnel stands. */
export interface PacketTunnelStatus {
  /** Times of the workers' clock, in ms; 0 where it never was. */
  readonly lastHandshakeAt: number;
  readonly lastReceivedAt: number;
  readonly lastSentAt: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Where the first peer is; undefined where that is not known. */
  readonly endpoint:
    | { readonly words: Int32Array; readonly port: number }
    | undefined;
}

/** What is asked about a new flow. */
export interface FlowAsk {
  readonly row: number;
  readonly generation: number;
  /** IP protocol: 6, 17, 1 or 58. */
  readonly protocol: number;
  readonly local: { readonly words: Int32Array; readonly port: number };
  readonly remote: { readonly words: Int32Array; readonly port: number };
  /** The payload of a datagram to port 53; undefined for all else. */
  readonly query: Uint8Array | undefined;
}

/** What a running client tells; all on the control thread. */
export interface ClientEvents {
  /** A new flow waits for {@linkcode ClientEngine.settle}, 5 s at most. */
  onAsk(ask: FlowAsk): void;
  /** A flow is over; its row belongs to another one soon. */
  onFlowEnded(row: number, generation: number): void;
  /** A datagram from port 53 for a flow's program. */
  onDnsAnswer(
    answer: {
      readonly row: number;
      readonly generation: number;
      readonly payload: Uint8Array;
    },
  ): void;
  /** A handshake of a packet tunnel ended. */
  onHandshake(outbound: number, result: "established" | "abandoned"): void;
  /** A worker ended by itself: nothing works any more. */
  onFailure(message: string): void;
  /** A line for the log. */
  onLine(text: string): void;
  /** A dropped packet, as text; only with `trace`. */
  onDrop(reason: number, flow: string): void;
}

/** What was counted. */
export interface ClientStatistics {
  readonly flows: number;
  readonly waiting: number;
  readonly counters: CountersSnapshot;
  readonly verdicts: readonly VerdictTraffic[];
  /** What the relay counted of TCP, and of UDP by proxies. */
  readonly relay: Readonly<Record<string, number>>;
}

/** A running client, as control sees it. */
export interface ClientEngine extends AsyncDisposable {
  /** The interface's name. */
  readonly interfaceName: string;
  /** The workers' clock, in ms. */
  readonly now: () => number;
  /** Makes a packet tunnel of an outbound that has nothing attached. */
  attachPacketTunnel(
    outbound: number,
    setup: PacketTunnelSetup,
  ): Promise<void>;
  /** Makes a proxy of an outbound that has nothing attached. Its origin is set here. */
  attachProxy(outbound: number, setup: DialerSetup): Promise<void>;
  /** Takes away what an outbound has; its flows go nowhere from now on. */
  detach(outbound: number): Promise<void>;
  /** Other endpoints or settings of a tunnel's peers. */
  updatePeers(outbound: number, peers: readonly DesiredPeer[]): void;
  /**
   * Decides about a flow, or decides anew.
   * @returns false where the row has another flow by now
   */
  settle(row: number, generation: number, verdict: FlowVerdict): boolean;
  /** The flows as they are now. */
  flows(): FlowSnapshot[];
  /** The flow of a row. */
  flow(row: number): FlowSnapshot | undefined;
  /** Ends flows: TCP hears of it by a RST, others are asked about anew. */
  endFlows(predicate: (flow: FlowSnapshot) => boolean): number;
  /** The direct way leaves by another interface from now on. */
  setEgress(egress: ClientEgress): void;
  /** The network has changed: connections and mappings are closed, held packets dropped. */
  reset(): void;
  /** Starts a handshake with all peers of a packet tunnel. */
  handshakeNow(outbound: number): void;
  packetStatus(outbound: number): PacketTunnelStatus | undefined;
  statistics(): ClientStatistics;
}
