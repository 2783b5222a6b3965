/**
 * A running TUN stack: the interface with its addresses and routes, the worker
 * that reads it, the relay. Disposing of it undoes everything.
 */
import { sharedBuffer } from "../core/columns/columns.ts";
import { ControlMessage } from "../core/columns/control_message.ts";
import type { DropReason } from "../core/columns/drop_reason.ts";
import { describePacket } from "../core/wire/describe.ts";
import type { RelayCounters } from "../datapath/relay/relay_counters.ts";
import { UdpCounters } from "../datapath/relay/udp_counters.ts";
import {
  attachTunTables,
  createTunState,
  type TunState,
  type TunTables,
} from "../datapath/tun_state.ts";
import type { Platform } from "../io/platform.ts";
import type {
  DialerSetup,
  HostNetwork,
  Loosened,
  NetworkWarning,
} from "../io/ports.ts";
import type { RelayWorkerSetup } from "./relay_process.ts";
import { StackDevices } from "./stack_devices.ts";
import type { TunRelaySetup } from "./tun2socks_relay_worker.ts";
import type { Tun2socksOptions } from "./tun2socks_options.ts";
import {
  RELAY_LIMITS,
  type RelayPlace,
  tunInterface,
  tunSizes,
  tunStackConfig,
} from "./tun2socks_setup.ts";
import type { TunStackSetup } from "./tun_stack_worker.ts";
import { WorkerThread } from "./worker_thread.ts";

/** What a TUN stack is made of. */
export interface Tun2socksParts {
  readonly platform: Platform;
  readonly network: HostNetwork;
  readonly options: Tun2socksOptions;
  readonly place: RelayPlace;
  /** The way out, where its sockets start included. */
  readonly outbound: DialerSetup;
  /** Whether dropped packets are told to `onDrop`. */
  readonly trace: boolean;
  readonly events: Tun2socksEvents;
}

/** What it tells. */
export interface Tun2socksEvents {
  /** A dropped packet, as text. */
  onDrop(reason: DropReason, flow: string): void;
  /** A worker ended by itself: nothing works any more. */
  onFailure(message: string): void;
  /** Addresses or routes that could not be. */
  onWarning(warning: NetworkWarning): void;
  /** An interface that had to let in answers of the outside. */
  onLoosened(result: Loosened): void;
  /** A line of the relay's. */
  onLine(text: string): void;
}

/** How often the ring of dropped packets is looked at, in ms. */
const TRACE_INTERVAL_MS = 200;

/** See the module header. */
export class Tun2socksProcess implements AsyncDisposable {
  readonly tables: TunTables;
  readonly udp: UdpCounters;
  readonly now: () => number;
  readonly #parts: Tun2socksParts;
  readonly #state: TunState;
  readonly #udpBuffer = sharedBuffer(UdpCounters.byteLength);
  readonly #devices: StackDevices;
  #worker: WorkerThread | undefined;
  #traceTimer: ReturnType<typeof setInterval> | undefined;
  #stopping = false;

  /**
   * Makes the interface, starts the workers, then leads traffic in.
   * @throws {TunError | Error} with nothing left behind.
   */
  static async start(parts: Tun2socksParts): Promise<Tun2socksProcess> {
    const process = new Tun2socksProcess(parts);
    try {
      process.#start();
      return process;
    } catch (error) {
      await process[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(parts: Tun2socksParts) {
    const { platform, network, options, place, outbound, events } = parts;
    this.#parts = parts;
    this.now = platform.openClock();
    this.#state = createTunState(tunSizes());
    this.tables = attachTunTables(this.#state);
    this.udp = new UdpCounters(this.#udpBuffer);
    this.#devices = new StackDevices({
      platform,
      network,
      config: tunInterface(options, place, "none"),
      place,
      egress: outbound.origin?.interfaceIndex,
      mappings: this.#state.sizes.nat.capacity,
      onLoosened: (result) => events.onLoosened(result),
    });
  }

  /** What became of connections. */
  get relay(): RelayCounters {
    return this.#devices.relay.counters;
  }

  /** The interface's name. */
  get interfaceName(): string {
    return this.#devices.tun.name;
  }

  /** Ends the workers, then undoes what was changed on the host. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    clearInterval(this.#traceTimer);
    // Its connections' last segments still need the other worker.
    await this.#devices.relay.end();
    await this.#endWorker();
    this.#devices[Symbol.dispose]();
  }

  #start(): void {
    const { network, options, place, trace, events } = this.#parts;
    this.#startRelay();
    this.#startWorker();
    network.apply(tunInterface(options, place, "all"))
      .forEach((warning) => events.onWarning(warning));
    if (!trace) return;
    this.#traceTimer = setInterval(() => this.#trace(), TRACE_INTERVAL_MS);
  }

  #startRelay(): void {
    const { place, outbound, events } = this.#parts;
    const { sizes, redirects, relayRing } = this.#state;
    const { tun, relay } = this.#devices;
    const setup: RelayWorkerSetup & Pick<TunRelaySetup, "udp"> = {
      limits: RELAY_LIMITS,
      dialer: outbound,
      redirects: { buffer: redirects, options: sizes.redirects },
      ring: { buffer: relayRing, bytes: sizes.relayRingBytes },
      answers: { kind: "host" },
      answerSource: place.errors,
      ownHost: "allow",
      tun: {
        descriptor: tun.descriptor,
        vnetHeader: tun.offload.vnetHeader,
      },
      udp: { outbound, counters: this.#udpBuffer },
    };
    const entry = import.meta.resolve("./tun2socks_relay_worker.ts");
    relay.start(setup, events, entry);
  }

  #startWorker(): void {
    const { options, place, trace, events } = this.#parts;
    const devices = this.#devices;
    const setup: TunStackSetup = {
      ...devices.setup({ mtu: options.mtu, trace }),
      state: this.#state,
      config: tunStackConfig(options, place, devices.relay.ends),
    };
    const entry = import.meta.resolve("./tun_stack_worker.ts");
    this.#worker = new WorkerThread(
      { name: "tun stack", entry, setup },
      { onFailure: (message) => events.onFailure(message) },
    );
  }

  async #endWorker(): Promise<void> {
    Atomics.store(this.tables.stop, 0, 1);
    this.#devices.wake.signal();
    await this.#worker?.end();
  }

  #trace(): void {
    const { onDrop } = this.#parts.events;
    this.tables.traceRing.read((kind, reason, _peer, bytes, at, length) => {
      if (kind !== ControlMessage.Drop) return;
      onDrop(reason, describePacket(bytes, at, length));
    });
  }
}
