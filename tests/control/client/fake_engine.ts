/** A packet side that carries nothing and remembers what it was told. */
import {
  type FlowSnapshot,
  type FlowVerdict,
  Way,
} from "../../../src/core/flow/flow_table.ts";
import type { DialerSetup } from "../../../src/io/ports.ts";
import type {
  ClientEgress,
  ClientEngine,
  ClientStatistics,
  FlowAsk,
  PacketTunnelSetup,
  PacketTunnelStatus,
} from "../../../src/control/client_engine.ts";
import type { DesiredPeer } from "../../../src/control/peer_sync.ts";
import {
  formatAddress,
  formatEndpoint,
} from "../../../src/core/wire/address.ts";
import { words } from "./plans.ts";
import type { VirtualClock } from "./virtual_clock.ts";

const SESSION_MS = 180_000;
const NO_WORDS = new Int32Array(4);

/** What {@linkcode FakeEngine.ask} makes a flow of. */
export interface FakeFlow {
  readonly protocol?: number;
  readonly local?: string;
  readonly localPort?: number;
  readonly remote: string;
  readonly port: number;
  readonly query?: Uint8Array;
}

/** Pretends to be the packet side. */
export class FakeEngine implements ClientEngine {
  readonly interfaceName = "sluice1";
  /** Everything that was asked of it, as text, in order. */
  readonly calls: string[] = [];
  /** Packet tunnels whose other end answers handshakes. */
  readonly answering = new Set<number>();
  readonly attached = new Map<number, PacketTunnelSetup | DialerSetup>();
  readonly #clock: VirtualClock;
  readonly #flows = new Map<number, FlowSnapshot>();
  readonly #statuses = new Map<number, PacketTunnelStatus>();
  #generations = 0;
  #rows = 0;
  /** Throws this when something is attached. */
  attachError: Error | undefined;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  now = (): number => this.#clock.now();

  /** A new flow, as the packet side would ask about it. */
  ask(flow: FakeFlow): FlowAsk {
    const row = this.#rows++;
    const generation = ++this.#generations;
    const ask: FlowAsk = {
      row,
      generation,
      protocol: flow.protocol ?? 6,
      local: {
        words: words(flow.local ?? "10.98.0.2"),
        port: flow.localPort ?? 40_000 + row,
      },
      remote: { words: words(flow.remote), port: flow.port },
      query: flow.query,
    };
    const now = this.now();
    this.#flows.set(row, {
      row,
      generation,
      protocol: ask.protocol,
      local: ask.local,
      remote: ask.remote,
      to: ask.remote,
      way: Way.Waiting,
      outbound: 0,
      rule: 0,
      createdAt: now,
      lastAt: now,
      sentPackets: 1,
      sentBytes: 60,
      receivedPackets: 0,
      receivedBytes: 0,
    });
    return ask;
  }

  /** The flow of a row as text: `packet 1`, `direct to 1.1.1.1:53`; undefined where it is over. */
  state(row: number): string | undefined {
    const flow = this.#flows.get(row);
    return flow && settlementText(flow, flow.to, flow.remote);
  }

  /** Takes the calls since the last time. */
  take(): string[] {
    return this.calls.splice(0);
  }

  /** Sets what is told of a packet tunnel. */
  setStatus(outbound: number, status: Partial<PacketTunnelStatus>): void {
    this.#statuses.set(outbound, {
      ...this.#statuses.get(outbound) ?? NO_STATUS,
      ...status,
    });
  }

  attachPacketTunnel(
    outbound: number,
    setup: PacketTunnelSetup,
  ): Promise<void> {
    return this.#attach(outbound, setup, `packet ${peersText(setup.peers)}`);
  }

  attachProxy(outbound: number, setup: DialerSetup): Promise<void> {
    const place = setup.kind === "direct"
      ? ""
      : formatEndpoint(setup.proxy.words, 0, setup.proxy.port);
    return this.#attach(outbound, setup, `${setup.kind} ${place}`);
  }

  detach(outbound: number): Promise<void> {
    this.calls.push(`detach ${outbound}`);
    this.attached.delete(outbound);
    this.#statuses.delete(outbound);
    return Promise.resolve();
  }

  updatePeers(outbound: number, peers: readonly DesiredPeer[]): void {
    this.calls.push(`peers ${outbound} ${peersText(peers)}`);
  }

  settle(row: number, generation: number, verdict: FlowVerdict): boolean {
    const flow = this.#flows.get(row);
    if (flow?.generation !== generation) return false;
    const { way, outbound, rule } = verdict;
    const to = verdict.to ?? flow.remote;
    this.calls.push(
      `settle ${row} ${settlementText(verdict, to, flow.remote)}`,
    );
    this.#flows.set(row, { ...flow, way, outbound, rule, to });
    return true;
  }

  flows(): FlowSnapshot[] {
    return [...this.#flows.values()];
  }

  flow(row: number): FlowSnapshot | undefined {
    return this.#flows.get(row);
  }

  endFlows(predicate: (flow: FlowSnapshot) => boolean): number {
    const ended = this.flows().filter(predicate);
    for (const { row } of ended) {
      this.calls.push(`end ${row}`);
      this.#flows.delete(row);
    }
    return ended.length;
  }

  setEgress({ ipv4 }: ClientEgress): void {
    this.calls.push(`egress ${ipv4}`);
  }

  reset(): void {
    this.calls.push("reset");
  }

  handshakeNow(outbound: number): void {
    this.calls.push(`handshake ${outbound}`);
    if (!this.answering.has(outbound)) return;
    const now = this.now();
    // A session that can be used still is not renewed, as in the real one.
    const { lastHandshakeAt } = this.#statuses.get(outbound) ?? NO_STATUS;
    if (lastHandshakeAt !== 0 && now - lastHandshakeAt < SESSION_MS) return;
    this.setStatus(outbound, { lastHandshakeAt: now, lastReceivedAt: now });
  }

  packetStatus(outbound: number): PacketTunnelStatus | undefined {
    return this.attached.has(outbound)
      ? this.#statuses.get(outbound) ?? NO_STATUS
      : undefined;
  }

  statistics(): ClientStatistics {
    throw new Error("nothing asks for them");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #attach(
    outbound: number,
    setup: PacketTunnelSetup | DialerSetup,
    text: string,
  ): Promise<void> {
    this.calls.push(`attach ${outbound} ${text}`);
    if (this.attachError !== undefined) {
      return Promise.reject(this.attachError);
    }
    if (this.attached.has(outbound)) {
      return Promise.reject(new Error(`outbound ${outbound} has something`));
    }
    this.attached.set(outbound, setup);
    return Promise.resolve();
  }
}

const NO_STATUS: PacketTunnelStatus = {
  lastHandshakeAt: 0,
  lastReceivedAt: 0,
  lastSentAt: 0,
  sentBytes: 0,
  receivedBytes: 0,
  endpoint: { words: NO_WORDS, port: 0 },
};

const WAYS = ["waiting", "drop", "direct", "proxy", "packet"];

function settlementText(
  { way, outbound }: { way: Way; outbound: number },
  to: { words: Int32Array; port: number },
  remote: { words: Int32Array; port: number },
): string {
  const name = way === Way.Proxy || way === Way.Packet
    ? `${WAYS[way]} ${outbound}`
    : WAYS[way];
  const end = formatEndpoint(to.words, 0, to.port);
  return end === formatEndpoint(remote.words, 0, remote.port)
    ? name
    : `${name} to ${end}`;
}

function peersText(peers: readonly DesiredPeer[]): string {
  return peers.map(({ endpoint }) =>
    endpoint === undefined
      ? "-"
      : `${formatAddress(endpoint.words)}:${endpoint.port}`
  ).join(",");
}
