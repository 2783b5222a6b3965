/**
 * The packet side of a running split tunnel, put together: interface, worker
 * with the flows, relay, packet tunnels. Disposing of it undoes everything.
 *
 *     control thread ── commands ──▶ stack worker ── relay ring ──▶ relay worker
 *          ▲  ▲  └──────────────────── relay commands ──────────────────▲
 *          │  └─────── news: flows that ask, end, learn ──┘
 *          └────────── rings of packet tunnels: handshakes, events
 *
 * What control asks of it is done by its parts, which `client_parts.ts` binds
 * together: `client_ways.ts` has what outbounds lead to, `client_flows.ts` the
 * flows, `client_workers.ts` the workers, `client_news.ts` what they tell.
 */
import { ClientMessage } from "../core/columns/client_message.ts";
import type {
  ClientEgress,
  ClientEngine,
  ClientStatistics,
  FlowSnapshot,
  FlowVerdict,
  PacketTunnelSetup,
  PacketTunnelStatus,
} from "../control/client_engine.ts";
import type { DesiredPeer } from "../control/peer_sync.ts";
import type { DialerSetup } from "../io/ports.ts";
import {
  type ClientParts,
  type ClientPartsOptions,
  openClientParts,
} from "./client_parts.ts";

const NO_BYTES = new Uint8Array(0);

/** See the module header. */
export class ClientProcess implements ClientEngine {
  readonly now: () => number;
  readonly #parts: ClientParts;
  #stopping = false;

  /**
   * Makes the interface and starts the workers; no route leads to it yet.
   * @throws {TunError | UserError | Error} with nothing left behind.
   */
  static async start(options: ClientPartsOptions): Promise<ClientProcess> {
    const process = new ClientProcess(openClientParts(options));
    try {
      process.#start();
      return process;
    } catch (error) {
      await process[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(parts: ClientParts) {
    this.#parts = parts;
    this.now = parts.now;
  }

  get interfaceName(): string {
    return this.#parts.devices.tun.name;
  }

  attachPacketTunnel(
    outbound: number,
    setup: PacketTunnelSetup,
  ): Promise<void> {
    return settled(() => this.#parts.ways.attachPacketTunnel(outbound, setup));
  }

  attachProxy(outbound: number, setup: DialerSetup): Promise<void> {
    return settled(() => this.#parts.ways.attachProxy(outbound, setup));
  }

  detach(outbound: number): Promise<void> {
    return this.#parts.ways.detach(outbound);
  }

  updatePeers(outbound: number, peers: readonly DesiredPeer[]): void {
    this.#parts.ways.updatePeers(outbound, peers);
  }

  setEgress(egress: ClientEgress): void {
    this.#parts.ways.setEgress(egress);
  }

  handshakeNow(outbound: number): void {
    this.#parts.ways.handshakeNow(outbound);
  }

  packetStatus(outbound: number): PacketTunnelStatus | undefined {
    return this.#parts.ways.packetStatus(outbound);
  }

  settle(row: number, generation: number, verdict: FlowVerdict): boolean {
    return this.#parts.flows.settle(row, generation, verdict);
  }

  flows(): FlowSnapshot[] {
    return this.#parts.flows.all();
  }

  flow(row: number): FlowSnapshot | undefined {
    return this.#parts.flows.at(row);
  }

  endFlows(predicate: (flow: FlowSnapshot) => boolean): number {
    return this.#parts.flows.end(predicate);
  }

  reset(): void {
    this.#parts.commands.post(ClientMessage.Reset, 0, 0, NO_BYTES);
  }

  statistics(): ClientStatistics {
    const { tables, workers } = this.#parts;
    const { flows, counters, verdicts } = tables;
    return {
      flows: flows.size,
      waiting: flows.waiting,
      counters: counters.snapshot(),
      verdicts: verdicts.snapshot(),
      relay: workers.relayCounters(),
    };
  }

  /** Ends the workers, then undoes what was changed on the host. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    const { news, commands, relayCommands, tunnels } = this.#parts;
    const { workers, devices } = this.#parts;
    news.stop();
    commands.stop();
    relayCommands.stop();
    tunnels.stop();
    await workers.end();
    tunnels[Symbol.dispose]();
    devices[Symbol.dispose]();
  }

  #start(): void {
    const { workers, ways, news } = this.#parts;
    workers.startRelay();
    ways.openDirect();
    workers.startStack();
    news.start();
  }
}

/** A promise of what is done now. */
function settled(act: () => void): Promise<void> {
  return new Promise((resolve) => {
    act();
    resolve();
  });
}
