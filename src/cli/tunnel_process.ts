/**
 * A running tunnel: device and sockets, the two workers with their tables, the
 * control loop. `server` and `connect` differ in what they put into it.
 */
import { ControlMessage } from "../core/columns/control_message.ts";
import type { DropReason } from "../core/columns/drop_reason.ts";
import { describePacket } from "../core/wire/describe.ts";
import type { AmneziaParameters } from "../core/wireguard/amnezia.ts";
import { Device } from "../core/wireguard/device.ts";
import { PeerEvent } from "../core/wireguard/peer_table.ts";
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
import type { Platform } from "../io/platform.ts";
import type {
  CreatedTun,
  HostNetwork,
  InterfaceConfig,
  OpenedOutside,
  OpenedTunnelSocket,
} from "../io/ports.ts";
import type { EngineSetup, PumpRole, PumpSetup } from "./pump.ts";
import type { PumpReport } from "./pump_worker.ts";

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
  readonly mtu: number;
  readonly listenPort: number;
  /** A server answers from the address that was written to. */
  readonly source: "sticky" | "system";
  /** The interface that messages leave by; undefined leaves it to routes. */
  readonly egressIndex?: number;
  /** The host's interface; undefined runs without one. */
  readonly interface: InterfaceConfig | undefined;
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
const NO_BYTES = new Uint8Array(0);
/** How long workers have to end, in ms. */
const STOP_TIMEOUT_MS = 3000;

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
  readonly #wakes: Record<PumpRole, ReturnType<Platform["openWake"]>>;
  readonly #pollers: Record<PumpRole, ReturnType<Platform["openPoller"]>>;
  readonly #workers: { worker: Worker; ended: Promise<void> }[] = [];
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
    this.#wakes = {
      open: own(platform.openWake()),
      seal: own(platform.openWake()),
    };
    this.#pollers = {
      open: own(platform.openPoller()),
      seal: own(platform.openPoller()),
    };
    this.#tun = this.#openInterface(guard);
    this.#outside = options.sizes.nat && own(platform.openOutside({
      poller: this.#pollers.seal.descriptor,
      wake: this.#wakes.seal.descriptor,
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
      onOwnDrop: (reason) => this.tables.counters[Thread.Control].drop(reason),
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

  /** The interface's name; undefined where there is none. */
  get interfaceName(): string | undefined {
    return this.#tun?.name;
  }

  /** Starts a handshake with every peer whose endpoint is known. */
  handshakeNow(): void {
    const { device, now } = this;
    for (const row of device.rows()) {
      device.handlePeerEvents(row, PeerEvent.NeedSession, now());
    }
    this.control.drain();
  }

  /** Removes a peer, with all that workers keep for it. */
  removePeer(row: number): void {
    this.device.removePeer(row);
    const commands = this.tables.rings[Thread.Control];
    commands.tryWrite(ControlMessage.PeerRemoved, row, 0, NO_BYTES, 0, 0);
    this.#wakes.open.signal();
    this.control.drain();
  }

  /** Ends the workers, then undoes what was changed on the host. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.control.stop();
    Atomics.store(this.tables.stop, 0, 1);
    this.#wakes.open.signal();
    this.#wakes.seal.signal();
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, STOP_TIMEOUT_MS);
    const ended = Promise.all(this.#workers.map(({ ended }) => ended));
    await Promise.race([ended, timeout.promise]);
    clearTimeout(timer);
    for (const { worker } of this.#workers) worker.terminate();
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
    for (const warning of network.apply(config)) {
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
    const selection = selectAead(kernels, { force: this.#options.crypto });
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
    });
    const at = plan.take(CONTROL_MESSAGE + headroom + SEAL_TAILROOM).start;
    const sender = new ControlSender({ sealer, socket, bytes, at, headroom });
    return { sender, selection };
  }

  #tunnel() {
    const { descriptor, port, family, sources } = this.#socket;
    return { descriptor, port, family, sources };
  }

  #setup(role: PumpRole): PumpSetup {
    const { engine, crypto, mtu, timers, trace } = this.#options;
    const tun = this.#tun;
    return {
      role,
      shared: this.#shared,
      engine,
      format: this.device.format,
      crypto,
      mtu,
      rejectAfterMs: timers.rejectAfterMs,
      trace,
      poller: this.#pollers[role].descriptor,
      wake: this.#wakes[role].descriptor,
      tun: tun && {
        descriptor: tun.descriptor,
        name: tun.name,
        offload: tun.offload,
      },
      tunnel: this.#tunnel(),
      outside: this.#outside?.shared,
    };
  }

  #startWorkers(): void {
    for (const role of ["open", "seal"] as const) {
      const worker = new Worker(import.meta.resolve("./pump_worker.ts"), {
        type: "module",
        name: `${role} pump`,
      });
      const { promise: ended, resolve } = Promise.withResolvers<void>();
      const fail = (message: string) => {
        resolve();
        if (!this.#stopping) {
          this.#options.events.onFailure(`${role} pump: ${message}`);
        }
      };
      worker.onmessage = ({ data }: MessageEvent<PumpReport>) => {
        if (data.kind === "ended") resolve();
        else fail(data.message);
      };
      worker.onerror = (event) => {
        event.preventDefault();
        fail(event.message);
      };
      worker.postMessage(this.#setup(role));
      this.#workers.push({ worker, ended });
    }
  }
}
