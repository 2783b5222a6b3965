/**
 * The packet side of a running split tunnel, put together: interface, worker
 * with the flows, relay, packet tunnels. Disposing of it undoes everything.
 *
 *     control thread ── commands ──▶ stack worker ── relay ring ──▶ relay worker
 *          ▲  ▲  └──────────────────── relay commands ──────────────────▲
 *          │  └─────── news: flows that ask, end, learn ──┘
 *          └────────── rings of packet tunnels: handshakes, events
 */
import { sharedBuffer } from "../core/columns/columns.ts";
import { ClientMessage } from "../core/columns/client_message.ts";
import { RelayMessage } from "../core/columns/relay_message.ts";
import type { Ring } from "../core/columns/ring.ts";
import type { FlowSnapshot, FlowVerdict } from "../core/flow/flow_table.ts";
import {
  PostedVerdict,
  VERDICT_LENGTH,
  writeVerdict,
} from "../core/flow/posted_verdict.ts";
import type { TimerConstants } from "../core/wireguard/timers.ts";
import { PROTOCOL_TIMERS } from "../core/wireguard/timers.ts";
import {
  type ClientEgress,
  type ClientEngine,
  type ClientEvents,
  type ClientStatistics,
  OUTBOUNDS,
  type PacketTunnelSetup,
  type PacketTunnelStatus,
} from "../control/client_engine.ts";
import type { DesiredPeer } from "../control/peer_sync.ts";
import {
  attachClientTables,
  type ClientState,
  type ClientTables,
  createClientState,
} from "../datapath/client_state.ts";
import type { AeadName } from "../datapath/crypto/select_aead.ts";
import { UdpCounters } from "../datapath/relay/udp_counters.ts";
import { encodeRingJson } from "../datapath/ring_json.ts";
import type { Platform } from "../io/platform.ts";
import type {
  DialerSetup,
  HostNetwork,
  OpenedCapture,
  Wake,
} from "../io/ports.ts";
import { ClientNews } from "./client_news.ts";
import type { PostedDialer } from "./client_outbounds.ts";
import type { ClientRelaySetup } from "./client_relay_worker.ts";
import type { ClientStackSetup } from "./client_stack_worker.ts";
import { ClientTunnels } from "./client_tunnels.ts";
import { OwnSockets } from "./own_sockets.ts";
import { PendingMessages } from "./pending_messages.ts";
import type { RelayWorkerSetup } from "./relay_process.ts";
import { StackDevices } from "./stack_devices.ts";
import {
  addressesOf,
  clientInterface,
  clientRelayLimits,
  clientSizes,
  type ClientTun,
  FLOW_LIMITS,
  type FlowLimits,
  splitTunnelConfig,
} from "./split_tunnel_setup.ts";
import { chooseRelayPlace, type RelayPlace } from "./tun2socks_setup.ts";
import { WorkerThread } from "./worker_thread.ts";

export type { ClientTun } from "./split_tunnel_setup.ts";

/** What a client is made of. */
export interface ClientProcessOptions {
  readonly platform: Platform;
  readonly network: HostNetwork;
  readonly tun: ClientTun;
  /**
   * In the place of the interface: packets captured on their way, which begin to
   * come when the caller starts it. Owned from now on.
   */
  readonly capture?: OpenedCapture;
  /** TCP ports that others may call at, where there is a capture. */
  readonly answeredPorts?: readonly number[];
  /**
   * The mark of all sockets of our own (SO_MARK): policy routing excepts it; 0
   * for none. Where the system has none they are bound to interfaces.
   */
  readonly mark: number;
  readonly egress: ClientEgress;
  readonly events: ClientEvents;
  /** Whether dropped packets are told to `onDrop`. */
  readonly trace: boolean;
  /** Those that differ from {@linkcode FLOW_LIMITS}. */
  readonly limits?: Partial<FlowLimits>;
  /** What becomes of what programs send in pieces; `follow` without. */
  readonly fragments?: "follow" | "drop";
  readonly crypto?: AeadName;
  /** Those of packet tunnels. */
  readonly timers?: TimerConstants;
}

type ProxySetup = Exclude<DialerSetup, { kind: "direct" }>;

const DIRECT = 0;
const NO_BYTES = new Uint8Array(0);

/** See the module header. */
export class ClientProcess implements ClientEngine {
  readonly now: () => number;
  readonly #options: ClientProcessOptions;
  readonly #limits: FlowLimits;
  readonly #place: RelayPlace;
  readonly #state: ClientState;
  readonly #tables: ClientTables;
  readonly #udpBuffer = sharedBuffer(UdpCounters.byteLength);
  readonly #devices: StackDevices;
  readonly #news: ClientNews;
  readonly #commands: PendingMessages;
  readonly #relayCommands: PendingMessages;
  readonly #tunnels: ClientTunnels;
  readonly #ownSockets: OwnSockets;
  readonly #proxies = new Map<number, ProxySetup>();
  readonly #verdict = new PostedVerdict();
  readonly #verdictBytes = new Uint8Array(VERDICT_LENGTH);
  #worker: WorkerThread | undefined;
  #egress: ClientEgress;
  #stopping = false;

  /**
   * Makes the interface and starts the workers; no route leads to it yet.
   * @throws {TunError | UserError | Error} with nothing left behind.
   */
  static async start(options: ClientProcessOptions): Promise<ClientProcess> {
    const process = new ClientProcess(options);
    try {
      process.#start();
      return process;
    } catch (error) {
      await process[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(options: ClientProcessOptions) {
    const { platform, network, tun, mark, events } = options;
    this.#options = options;
    this.#limits = { ...FLOW_LIMITS, ...options.limits };
    const { ownPackets } = platform;
    this.#ownSockets = new OwnSockets({ ownPackets, network, mark });
    this.#egress = this.#ownSockets.direct(options.egress);
    this.now = platform.openClock();
    this.#place = chooseRelayPlace(
      { addresses: addressesOf(tun), routes: [] },
      network,
    );
    this.#state = createClientState(clientSizes(this.#limits));
    this.#tables = attachClientTables(this.#state);
    this.#devices = new StackDevices({
      platform,
      network,
      config: options.capture ?? clientInterface(tun, this.#place),
      place: this.#place,
      egress: this.#egress.ipv4,
      mark,
      mappings: this.#state.sizes.nat.capacity,
      onLoosened: (result) => {
        if (result.kind !== "refused") return;
        events.onLine(
          `${result.interface} may not let in all answers: ${result.reason}`,
        );
      },
    });
    const { wake, relay, outside } = this.#devices;
    outside.setInterface(6, this.#egress.ipv6 ?? 0);
    const { commands, relayCommands } = this.#tables;
    this.#commands = this.#sending(commands, wake);
    this.#relayCommands = this.#sending(relayCommands, relay.wake);
    const { crypto = "auto", timers = PROTOCOL_TIMERS } = options;
    this.#tunnels = new ClientTunnels({
      ...{ platform, mark, crypto, timers, now: this.now },
      ownSockets: this.#ownSockets,
      state: this.#state,
      commands: this.#commands,
      onHandshake: (outbound, result) => events.onHandshake(outbound, result),
    });
    this.#news = new ClientNews(this.#tables, {
      events,
      onDetached: (slot) => this.#tunnels.detached(slot),
    });
  }

  get interfaceName(): string {
    return this.#devices.tun.name;
  }

  attachPacketTunnel(
    outbound: number,
    setup: PacketTunnelSetup,
  ): Promise<void> {
    return settled(() => {
      this.#checkFree(outbound);
      this.#tunnels.attach(outbound, setup);
      this.#passTunnels();
    });
  }

  attachProxy(outbound: number, setup: DialerSetup): Promise<void> {
    return settled(() => {
      this.#checkFree(outbound);
      if (setup.kind === "direct") throw new Error("direct is no proxy");
      this.#proxies.set(outbound, this.#postProxy(outbound, setup));
    });
  }

  async detach(outbound: number): Promise<void> {
    if (this.#proxies.delete(outbound)) {
      this.#commands.post(ClientMessage.Detach, outbound, 0, NO_BYTES);
      this.#relayCommands.post(RelayMessage.Detach, outbound, 0, NO_BYTES);
      return;
    }
    const gone = this.#tunnels.detach(outbound);
    this.#passTunnels();
    await gone;
  }

  updatePeers(outbound: number, peers: readonly DesiredPeer[]): void {
    this.#tunnels.get(outbound)?.updatePeers(peers);
    this.#passTunnels();
  }

  settle(row: number, generation: number, verdict: FlowVerdict): boolean {
    const { flows } = this.#tables;
    if (!flows.has(row, generation)) return false;
    const posted = this.#verdict;
    const { way, outbound, rule, to } = verdict;
    posted.way = way;
    posted.outbound = outbound;
    posted.rule = rule;
    const at = row * 4;
    posted.to.set(to?.words ?? flows.remote.subarray(at, at + 4));
    posted.toPort = to?.port ?? flows.remotePort[row];
    writeVerdict(this.#verdictBytes, posted);
    this.#commands.post(
      ClientMessage.Settle,
      row,
      generation,
      this.#verdictBytes,
    );
    return true;
  }

  flows(): FlowSnapshot[] {
    const { flows } = this.#tables;
    const found: FlowSnapshot[] = [];
    for (const row of flows.rows()) {
      const flow = flows.snapshot(row);
      if (flow !== undefined) found.push(flow);
    }
    return found;
  }

  flow(row: number): FlowSnapshot | undefined {
    return this.#tables.flows.snapshot(row);
  }

  endFlows(predicate: (flow: FlowSnapshot) => boolean): number {
    const ended = this.flows().filter(predicate);
    for (const { row, generation } of ended) {
      this.#commands.post(ClientMessage.End, row, generation, NO_BYTES);
    }
    return ended.length;
  }

  setEgress(egress: ClientEgress): void {
    this.#followRoutes();
    const { ipv4, ipv6 } = this.#ownSockets.direct(egress);
    if (ipv4 === this.#egress.ipv4 && ipv6 === this.#egress.ipv6) return;
    this.#egress = { ipv4, ipv6 };
    this.#devices.loosen(ipv4);
    this.#devices.loosen(ipv6);
    this.#devices.outside.setInterface(4, ipv4 ?? 0);
    this.#devices.outside.setInterface(6, ipv6 ?? 0);
    this.#postDirect();
    this.#commands.post(ClientMessage.ResetDirect, 0, 0, NO_BYTES);
  }

  reset(): void {
    this.#commands.post(ClientMessage.Reset, 0, 0, NO_BYTES);
  }

  handshakeNow(outbound: number): void {
    this.#tunnels.get(outbound)?.handshakeNow();
  }

  packetStatus(outbound: number): PacketTunnelStatus | undefined {
    return this.#tunnels.get(outbound)?.status;
  }

  statistics(): ClientStatistics {
    const { flows, counters, verdicts } = this.#tables;
    const udp = Object.entries(new UdpCounters(this.#udpBuffer).snapshot())
      .map(([name, count]) => [`udp ${name}`, count]);
    const { counts, failures } = this.#devices.relay.counters.snapshot();
    return {
      flows: flows.size,
      waiting: flows.waiting,
      counters: counters.snapshot(),
      verdicts: verdicts.snapshot(),
      relay: { ...counts, ...failures, ...Object.fromEntries(udp) },
    };
  }

  /** Ends the workers, then undoes what was changed on the host. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#news.stop();
    this.#commands.stop();
    this.#relayCommands.stop();
    this.#tunnels.stop();
    // Its connections' last segments still need the other worker.
    await this.#devices.relay.end();
    Atomics.store(this.#tables.stop, 0, 1);
    this.#devices.wake.signal();
    await this.#worker?.end();
    this.#tunnels[Symbol.dispose]();
    this.#devices[Symbol.dispose]();
  }

  #start(): void {
    this.#startRelay();
    this.#postDirect();
    this.#startWorker();
    this.#news.start();
  }

  #startRelay(): void {
    const { events } = this.#options;
    const { sizes, redirects, relayRing, relayCommands, flows } = this.#state;
    const { tun, relay } = this.#devices;
    const bytes = sizes.ringBytes;
    const setup:
      & RelayWorkerSetup
      & Pick<ClientRelaySetup, "flows" | "udpCounters" | "udpTimeoutMs"> = {
        limits: clientRelayLimits(this.#limits),
        // Each connection names its own; this one is for none.
        dialer: { kind: "direct" },
        redirects: { buffer: redirects, options: sizes.redirects },
        ring: { buffer: relayRing, bytes },
        commands: { buffer: relayCommands, bytes },
        answers: { kind: "host" },
        answerSource: this.#place.errors,
        ownHost: "allow",
        tun: {
          descriptor: tun.descriptor,
          vnetHeader: tun.offload.vnetHeader,
        },
        flows: { buffer: flows, options: sizes.flows },
        udpCounters: this.#udpBuffer,
        udpTimeoutMs: this.#limits.udpTimeoutMs,
      };
    const entry = import.meta.resolve("./client_relay_worker.ts");
    relay.start(setup, events, entry);
  }

  #startWorker(): void {
    const { tun, trace, events, answeredPorts } = this.#options;
    const { crypto = "auto", fragments = "follow" } = this.#options;
    const devices = this.#devices;
    const setup: ClientStackSetup = {
      ...devices.setup({ mtu: tun.mtu, trace }),
      state: this.#state,
      config: splitTunnelConfig({
        tun,
        place: this.#place,
        ends: devices.relay.ends,
        limits: this.#limits,
        fragments,
        answeredPorts,
      }),
      outbounds: OUTBOUNDS,
      crypto,
    };
    const entry = import.meta.resolve("./client_stack_worker.ts");
    this.#worker = new WorkerThread(
      { name: "split tunnel", entry, setup },
      { onFailure: (message) => events.onFailure(message) },
    );
  }

  /** Tunnels' own messages need not be looked at. */
  #passTunnels(): void {
    const { capture } = this.#options;
    capture?.setPassed("tunnels", this.#tunnels.passRules());
  }

  #checkFree(outbound: number): void {
    if (outbound <= DIRECT || outbound >= OUTBOUNDS) {
      throw new RangeError(`there is no outbound ${outbound}`);
    }
    if (
      this.#tunnels.get(outbound) !== undefined || this.#proxies.has(outbound)
    ) {
      throw new Error(`outbound ${outbound} has a way out already`);
    }
  }

  #postDirect(): void {
    const { ipv4, ipv6 } = this.#egress;
    this.#postDialer(DIRECT, {
      kind: "direct",
      origin: this.#ownSockets.leavingBy(ipv4),
      origin6: this.#ownSockets.leavingBy(ipv6),
    });
  }

  /** @returns the setup with the place where its sockets start. */
  #postProxy(outbound: number, setup: ProxySetup): ProxySetup {
    const origin = this.#ownSockets.towards(setup.proxy.words);
    const posted = { ...setup, origin };
    this.#postDialer(outbound, posted);
    return posted;
  }

  /** What is bound to an interface is bound to the one that leads there now. */
  #followRoutes(): void {
    this.#tunnels.followRoutes();
    for (const [outbound, setup] of this.#proxies) {
      const { interfaceIndex } = this.#ownSockets.towards(setup.proxy.words);
      if (interfaceIndex === setup.origin?.interfaceIndex) continue;
      this.#proxies.set(outbound, this.#postProxy(outbound, setup));
    }
  }

  #postDialer(outbound: number, setup: DialerSetup): void {
    const posted: PostedDialer = { setup };
    const bytes = encodeRingJson(posted);
    this.#relayCommands.post(RelayMessage.Attach, outbound, 0, bytes);
  }

  #sending(ring: Ring, wake: Wake): PendingMessages {
    return new PendingMessages(ring, () => wake.signal());
  }
}

/** A promise of what is done now. */
function settled(act: () => void): Promise<void> {
  return new Promise((resolve) => {
    act();
    resolve();
  });
}
