/** What the parts of a split tunnel have in common: tables, policies, and those whom it tells. */
import type { Batch } from "../columns/batch.ts";
import type { VerdictCounters } from "../columns/verdict_counters.ts";
import type { FlowTable } from "../flow/flow_table.ts";
import { HeldPackets } from "../flow/held_packets.ts";
import { Mapper } from "../flow/mapper.ts";
import type { NatTable, OutsideSockets } from "../flow/nat.ts";
import type { RedirectTable } from "../flow/redirect_table.ts";
import { type Sum, sum } from "../wire/checksum.ts";
import { PacketView } from "../wire/packet_view.ts";
import { ErrorReplies } from "./error_replies.ts";
import { ForeignEchoes } from "./foreign_echoes.ts";
import { Inbound } from "./inbound.ts";
import { Outbound } from "./outbound.ts";
import { LiveMappings } from "./live_mappings.ts";
import { PacketWays } from "./packet_ways.ts";
import { PeerDelivery } from "./peer_delivery.ts";
import type { SplitTunnelConfig } from "./split_tunnel_config.ts";
import { type RelayCommands, TcpRelay } from "./tcp_relay.ts";
import { everything, LONGEST } from "./tun_stack_parts.ts";

/** Whom a split tunnel tells of its flows: the control thread. */
export interface FlowListener {
  /** A new flow waits; `batchRow` is its first packet. @returns false where that can't be told now */
  ask(
    flow: number,
    generation: number,
    batch: Batch,
    batchRow: number,
  ): boolean;
  /** A flow is over. */
  ended(flow: number, generation: number): void;
  /** The payload of a datagram from port 53 for a flow. */
  dnsAnswer(
    flow: number,
    generation: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void;
}

/** The way to the relay worker, besides Verdict.ToRelay and ToRelayUdp. */
export interface SplitRelayCommands extends RelayCommands {
  /**
   * Says that a connection is over at once: what its program has sent goes
   * nowhere any more (RelayMessage.End, RelayMessage.Vanish).
   * @param outside whether the other end hears of it by a RST
   * @returns false where there is no room
   */
  end(row: number, generation: number, outside: "reset" | "silent"): boolean;
}

/** What a split tunnel works on. */
export interface SplitTunnelOptions {
  readonly config: SplitTunnelConfig;
  readonly flows: FlowTable;
  /** Ways out have numbers below this. */
  readonly outbounds: number;
  readonly listener: FlowListener;
  readonly redirects: RedirectTable;
  /** The way to the relay worker. */
  readonly commands: SplitRelayCommands;
  readonly nat: NatTable;
  readonly sockets: OutsideSockets;
  /** Counts what was read. */
  readonly counters: VerdictCounters;
  /** How payloads are added up for their checksums. */
  readonly sum?: Sum;
}

/** The parts; one thread has them all. */
export interface SplitParts {
  readonly config: SplitTunnelConfig;
  readonly flows: FlowTable;
  readonly redirects: RedirectTable;
  readonly nat: NatTable;
  readonly listener: FlowListener;
  readonly commands: SplitRelayCommands;
  readonly counters: VerdictCounters;
  readonly held: HeldPackets;
  readonly ways: PacketWays;
  readonly errors: ErrorReplies;
  readonly tcp: TcpRelay;
  readonly sockets: ForeignEchoes;
  readonly mapper: Mapper;
  readonly outbound: Outbound;
  readonly inbound: Inbound;
  readonly sum: Sum;
  /** By redirect row: the flow whose connection it is, or -1. */
  readonly flowOf: Int32Array;
  /** By outbound: the port of its tunnel's own socket; 0 for none. */
  readonly ownPorts: Int32Array;
  /** The packet that is looked at now. */
  readonly view: PacketView;
}

/** The number of the direct way out. */
export const DIRECT = 0;

/** Makes the parts. @throws {TypeError} where no relay is configured. */
export function makeSplitParts(options: SplitTunnelOptions): SplitParts {
  const { nat, redirects, flows, commands, outbounds, counters } = options;
  const { config, listener } = options;
  const { gateway } = config;
  const { relay, mtu } = gateway;
  if (relay === undefined) throw new TypeError("a split tunnel needs a relay");
  const add = options.sum ?? sum;
  const errors = new ErrorReplies(gateway);
  const delivery = new PeerDelivery(LONGEST, errors);
  const live = new LiveMappings(nat, everything(), gateway);
  const sockets = new ForeignEchoes(options.sockets);
  const mapper = new Mapper(nat, sockets, gateway);
  const common = { config: gateway, nat, live, delivery, sum: add };
  return {
    config,
    flows,
    redirects,
    nat,
    listener,
    commands,
    counters,
    held: new HeldPackets({ flows: flows.capacity, ...config.held }),
    ways: new PacketWays(flows, outbounds, add),
    errors,
    tcp: new TcpRelay({
      config: relay,
      mtu,
      table: redirects,
      commands,
      clients: "host",
      sum: add,
    }),
    sockets,
    mapper,
    outbound: new Outbound({ ...common, mapper, errors }),
    inbound: new Inbound(common),
    sum: add,
    ownPorts: new Int32Array(outbounds),
    flowOf: new Int32Array(redirects.capacity).fill(-1),
    view: new PacketView(),
  };
}

/** Whether a port is one of our own tunnel sockets'. */
export function isOwnPort({ ownPorts }: SplitParts, port: number): boolean {
  for (let n = 0; n < ownPorts.length; n++) {
    if (ownPorts[n] === port && port !== 0) return true;
  }
  return false;
}
