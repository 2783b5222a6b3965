/**
 * A running tunnel: device and sockets, the workers with their tables, the
 * control loop. `server` and `connect` differ in what they put into it.
 */
import { sharedBuffer } from "../core/columns/columns.ts";
import { ControlMessage } from "../core/columns/control_message.ts";
import type { DropReason } from "../core/columns/drop_reason.ts";
import { Gateway } from "../core/engine/gateway.ts";
import { describePacket } from "../core/wire/describe.ts";
import type { AmneziaParameters } from "../core/wireguard/amnezia.ts";
import { Device } from "../core/wireguard/device.ts";
import type { TimerConstants } from "../core/wireguard/timers.ts";
import { TunnelControl } from "../control/tunnel_control.ts";
import { ArenaPlan, EMPTY_AREA } from "../datapath/arena.ts";
import { ControlSender } from "../datapath/control_sender.ts";
import { nodePrimitives } from "../datapath/crypto/node_primitives.ts";
import { type AeadName, selectAead } from "../datapath/crypto/select_aead.ts";
import { instantiateKernels } from "../datapath/kernels/kernels.ts";
import { RandomPool } from "../datapath/random_pool.ts";
import { SEAL_TAILROOM, Sealer, sealHeadroom } from "../datapath/sealer.ts";
import {
  attachTables,
  createSharedState,
  type SharedSizes,
  type SharedState,
  type SharedTables,
  Thread,
} from "../datapath/shared_state.ts";
import type { RelayCounters } from "../datapath/relay/relay_counters.ts";
import type { Platform } from "../io/platform.ts";
import type {
  CreatedTun,
  HostNetwork,
  InterfaceConfig,
  NetworkWarning,
  OpenedOutside,
  OpenedTunnelSocket,
} from "../io/ports.ts";
import type { EngineSetup } from "./pump.ts";
import { PumpWorkers } from "./pump_workers.ts";
import type { RelayProcess } from "./relay_process.ts";
import {
  openTunnelRelay,
  startTunnelRelay,
  type TunnelRelayOptions,
} from "./tunnel_relay.ts";
import { planWorkers, type WorkerChoice } from "./worker_plan.ts";

/** What a tunnel is made of. */
export interface TunnelOptions {
  readonly platform: Platform;
  readonly network: HostNetwork;
  readonly sizes: SharedSizes;
  readonly engine: EngineSetup;
  readonly privateKey: Uint8Array;
  readonly amnezia: AmneziaParameters;
  readonly timers: TimerConstants;
  readonly crypto: AeadName;
  readonly workers: WorkerChoice;
  readonly mtu: number;
  readonly listenPort: number;
  /** A server answers from the address that was written to. */
  readonly source: "sticky" | "system";
  /** The interface that messages leave by; undefined leaves it to routes. */
  readonly egressIndex?: number;
  /** The host's interface; undefined runs without one. */
  readonly interface: InterfaceConfig | undefined;
  /** The TCP proxy, where the engine has that policy. */
  readonly relay?: TunnelRelayOptions;
  /** Whether dropped packets are told to `onDrop`. */
  readonly trace: boolean;
  readonly events: TunnelEvents;
}

/** What a tunnel tells. */
export interface TunnelEvents {
  /** A packet for the gateway itself (a DNS query). */
  onPacket(peer: number, packet: Uint8Array): void;
  /** A dropped packet, as text; only with `trace`. */
  onDrop(reason: DropReason, peer: number, flow: string): void;
  onHandshake(peer: number, result: "established" | "abandoned"): void;
  /** A worker ended by itself: the tunnel no longer works. */
  onFailure(message: string): void;
  onWarning(message: string): void;
}

/** Bytes of the control thread's own arena. */
const CONTROL_ARENA = 1 << 18;
const CONTROL_MESSAGE = 70_000;
/** How long resets of connections have to get out at the end, in ms. */
const RESET_LINGER_MS = 50;
const NO_BYTES = new Uint8Array(0);

/** A started tunnel. */
export class TunnelProcess implements AsyncDisposable {
  readonly device: Device;
  readonly tables: SharedTables;
  readonly control: TunnelControl;
  /** For the start line: which crypto, and why no faster one. */
  readonly crypto: { description: string; refused: string | undefined };
  readonly now: () => number;
  readonly #options: TunnelOptions;
  readonly #resources = new DisposableStack();
  readonly #tun: CreatedTun | undefined;
  readonly #socket: OpenedTunnelSocket;
  readonly #outside: OpenedOutside | undefined;
  readonly #shared: SharedState;
  readonly #workers: PumpWorkers;
  readonly #relay: RelayProcess | undefined;
  #interfaceWarnings: readonly NetworkWarning[] = [];
  #stopping = false;

  /**
   * Opens devices and sockets and starts the workers.
   * @throws {TunError | PortInUseError | Error} with nothing left behind.
   */
  static start(options: TunnelOptions): TunnelProcess {
    const process = new TunnelProcess(options);
    process.#startWorkers();
    process.control.start();
    return process;
  }

  private constructor(options: TunnelOptions) {
    this.#options = options;
    const { platform } = options;
    using guard = new DisposableStack();
    const own = <T extends Disposable>(resource: T): T => guard.use(resource);
    this.now = platform.openClock();
    this.#shared = createSharedState(options.sizes);
    this.tables = attachTables(this.#shared);
    this.#socket = own(platform.openTunnelSocket({
      port: options.listenPort,
      source: options.source,
      interfaceIndex: options.egressIndex,
    }));
    const cores = navigator.hardwareConcurrency;
    this.#workers = own(
      new PumpWorkers(platform, planWorkers(options.workers, cores)),
    );
    this.#tun = this.#openInterface(guard);
    this.#relay = options.relay && this.#tun && own(
      openTunnelRelay(platform, options.relay, {
        interfaceName: this.#tun.name,
        warnings: this.#interfaceWarnings,
      }),
    );
    this.#outside = options.sizes.nat && own(platform.openOutside({
      poller: this.#workers.sealing.poller.descriptor,
      wake: this.#workers.sealing.wake.descriptor,
      capacity: options.sizes.nat.capacity,
    }));
    this.device = new Device({
      privateKey: options.privateKey,
      peers: this.tables.peers,
      sessions: this.tables.sessions,
      allowedIps: this.tables.allowedIps,
      primitives: nodePrimitives,
      random: (bytes) => void crypto.getRandomValues(bytes),
      wallTime: () => Date.now(),
      amnezia: options.amnezia,
      timers: options.timers,
    });
    const { sender, selection } = this.#openSender();
    this.crypto = selection;
    this.control = new TunnelControl({
      device: this.device,
      peers: this.tables.peers,
      rings: [
        this.tables.rings[Thread.OpenPump],
        this.tables.rings[Thread.SealPump],
        this.tables.rings[Thread.Relay],
      ],
      bell: this.tables.bell,
      sender,
      now: this.now,
      onPacket: options.events.onPacket,
      onDrop: (reason, peer, bytes) =>
        options.events.onDrop(
          reason,
          peer,
          describePacket(bytes, 0, bytes.length),
        ),
      onOwnDrop: (reason) => this.countDrop(reason),
      onHandshake: options.events.onHandshake,
    });
    this.#resources.use(guard.move());
  }

  /** The UDP port of the tunnel. */
  get port(): number {
    return this.#socket.port;
  }

  /** How echo goes out; undefined where nothing is translated. */
  get echo(): OpenedOutside["echo"] | undefined {
    return this.#outside?.echo;
  }

  /** What the TCP proxy has counted; undefined where there is none. */
  get relayCounters(): RelayCounters | undefined {
    return this.#relay?.counters;
  }

  /** The interface's name; undefined where there is none. */
  get interfaceName(): string | undefined {
    return this.#tun?.name;
  }

  /** Starts a handshake with every peer whose endpoint is known. */
  handshakeNow(): void {
    const { device, now } = this;
    for (const row of device.peers.rows()) {
      device.handshake(row, now());
    }
    this.control.drain();
  }

  /** Counts a packet that the control thread dropped. */
  countDrop(reason: DropReason): void {
    this.tables.counters[Thread.Control].drop(reason);
  }

  /** Removes a peer, with all that workers keep for it. */
  removePeer(row: number): void {
    this.device.peers.remove(row);
    const commands = this.tables.rings[Thread.Control];
    commands.tryWrite(ControlMessage.PeerRemoved, row, 0, NO_BYTES, 0, 0);
    this.#workers.opening.wake.signal();
    this.control.drain();
  }

  /** Ends the workers, then undoes what was changed on the host. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.control.stop();
    if (this.#relay !== undefined) {
      await this.#relay.end();
      // The pumps still carry the resets of its connections to the clients.
      await new Promise((resolve) => setTimeout(resolve, RESET_LINGER_MS));
    }
    Atomics.store(this.tables.stop, 0, 1);
    await this.#workers.end();
    this.#resources.dispose();
  }

  #openInterface(guard: DisposableStack): CreatedTun | undefined {
    const { platform, network, interface: config, events } = this.#options;
    if (config === undefined) return undefined;
    const tun = guard.use(platform.createTun({
      name: config.name,
      offload: "segments",
    }));
    guard.defer(() => network.reset());
    this.#interfaceWarnings = network.apply(config);
    for (const warning of this.#interfaceWarnings) {
      events.onWarning(
        `interface ${warning.interface} has no IPv6 (${warning.reason}): ` +
          `left out ${warning.omitted.join(", ")}`,
      );
    }
    return tun;
  }

  #openSender() {
    const { platform, mtu, timers } = this.#options;
    const kernels = instantiateKernels({ arenaBytes: CONTROL_ARENA });
    const selection = selectAead(kernels, {
      force: this.#options.crypto,
      library: platform.cipherLibrary,
    });
    const { bytes, firstFree } = kernels;
    const plan = new ArenaPlan(firstFree, bytes.length);
    const socket = platform.attachTunnelSocket({
      ...this.#tunnel(),
      bytes,
      receiveArea: EMPTY_AREA,
    });
    const format = this.device.format;
    const headroom = sealHeadroom(format);
    const sealer = new Sealer({
      bytes,
      sessions: this.tables.sessions,
      peers: this.tables.peers,
      format,
      aead: selection.aead,
      socket,
      random: new RandomPool(),
      writer: Thread.Control,
      mtu,
      rejectAfterMs: timers.rejectAfterMs,
      rows: 0,
    });
    const at = plan.take(CONTROL_MESSAGE + headroom + SEAL_TAILROOM).start;
    const sender = new ControlSender({ sealer, socket, bytes, at, headroom });
    return { sender, selection };
  }

  #tunnel() {
    const { descriptor, port, family, sources } = this.#socket;
    return { descriptor, port, family, sources };
  }

  #startWorkers(): void {
    const { crypto, mtu, timers, trace, events } = this.#options;
    const tun = this.#tun;
    const engine = this.#engine();
    this.#workers.start({
      shared: this.#shared,
      engine,
      gatewayState: engine.kind === "gateway"
        ? sharedBuffer(Gateway.stateBytes(engine.config))
        : undefined,
      format: this.device.format,
      crypto,
      mtu,
      rejectAfterMs: timers.rejectAfterMs,
      trace,
      tun: tun && {
        descriptor: tun.descriptor,
        name: tun.name,
        offload: tun.offload,
      },
      tunnel: this.#tunnel(),
      outside: this.#outside?.shared,
      relayWake: this.#relay?.wake.descriptor,
    }, (message) => events.onFailure(message));
    this.#startRelay();
  }

  /** The engine, told where the TCP proxy listens. */
  #engine(): EngineSetup {
    const { engine, relay } = this.#options;
    if (engine.kind !== "gateway" || relay === undefined) return engine;
    if (this.#relay === undefined) return engine;
    const ends = { ...relay.engine, ...this.#relay.ends };
    return { kind: "gateway", config: { ...engine.config, relay: ends } };
  }

  #startRelay(): void {
    const { engine, relay, events } = this.#options;
    const tun = this.#tun;
    if (relay === undefined || tun === undefined) return;
    if (this.#relay === undefined || engine.kind !== "gateway") return;
    startTunnelRelay(this.#relay, relay, {
      tun,
      shared: this.#shared,
      tables: this.tables,
      gateway: engine.config,
      events: {
        onFailure: (message) => events.onFailure(message),
        onLine: (line) => events.onWarning(line),
      },
    });
  }
}
