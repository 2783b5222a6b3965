/**
 * The two workers of a split tunnel, the stack's and the relay's: what they are
 * told, how they start and end, what the relay's has counted.
 */
import { sharedBuffer } from "../core/columns/columns.ts";
import { type ClientEvents, OUTBOUNDS } from "../control/client_engine.ts";
import type { ClientState, ClientTables } from "../datapath/client_state.ts";
import type { AeadName } from "../datapath/crypto/select_aead.ts";
import { UdpCounters } from "../datapath/relay/udp_counters.ts";
import type { ClientRelaySetup } from "./client_relay_worker.ts";
import type { ClientStackSetup } from "./client_stack_worker.ts";
import type { RelayWorkerSetup } from "./relay_process.ts";
import {
  clientRelayLimits,
  type ClientTun,
  type FlowLimits,
  splitTunnelConfig,
} from "./split_tunnel_setup.ts";
import type { StackDevices } from "./stack_devices.ts";
import type { RelayPlace } from "./tun2socks_setup.ts";
import { WorkerThread } from "./worker_thread.ts";

/** What workers work with. */
export interface ClientWorkersOptions {
  readonly devices: StackDevices;
  readonly state: ClientState;
  /** Ends the stack worker. */
  readonly stop: ClientTables["stop"];
  readonly tun: ClientTun;
  readonly place: RelayPlace;
  readonly limits: FlowLimits;
  readonly fragments: "follow" | "drop";
  readonly answeredPorts: readonly number[];
  readonly crypto: AeadName;
  /** Whether dropped packets are shown to the control thread. */
  readonly trace: boolean;
  readonly events: Pick<
    ClientEvents,
    "onFailure" | "onLine" | "onDnsAnswer"
  >;
}

/** See the module header. */
export class ClientWorkers {
  readonly #options: ClientWorkersOptions;
  readonly #udpCounters = sharedBuffer(UdpCounters.byteLength);
  #stack: WorkerThread | undefined;

  constructor(options: ClientWorkersOptions) {
    this.#options = options;
  }

  /** Starts the relay, whose ways out come by commands. */
  startRelay(): void {
    const { devices, state, place, limits, events } = this.#options;
    const { sizes, redirects, relayRing, relayCommands, flows } = state;
    const { tun, relay } = devices;
    const bytes = sizes.ringBytes;
    const setup:
      & RelayWorkerSetup
      & Pick<ClientRelaySetup, "flows" | "udpCounters" | "udpTimeoutMs"> = {
        limits: clientRelayLimits(limits),
        // Each connection names its own; this one is for none.
        dialer: { kind: "direct" },
        redirects: { buffer: redirects, options: sizes.redirects },
        ring: { buffer: relayRing, bytes },
        commands: { buffer: relayCommands, bytes },
        answers: { kind: "host" },
        answerSource: place.errors,
        ownHost: "allow",
        tun: {
          descriptor: tun.descriptor,
          vnetHeader: tun.offload.vnetHeader,
        },
        flows: { buffer: flows, options: sizes.flows },
        udpCounters: this.#udpCounters,
        udpTimeoutMs: limits.udpTimeoutMs,
      };
    const entry = import.meta.resolve("./client_relay_worker.ts");
    relay.start(setup, events, entry);
  }

  /** Starts the stack: from now on packets that come in are taken. */
  startStack(): void {
    const { devices, state, tun, place, limits, events } = this.#options;
    const { fragments, answeredPorts, crypto, trace } = this.#options;
    const setup: ClientStackSetup = {
      ...devices.setup({ mtu: tun.mtu, trace }),
      state,
      config: splitTunnelConfig({
        tun,
        place,
        ends: devices.relay.ends,
        limits,
        fragments,
        answeredPorts,
      }),
      outbounds: OUTBOUNDS,
      crypto,
    };
    const entry = import.meta.resolve("./client_stack_worker.ts");
    this.#stack = new WorkerThread(
      { name: "split tunnel", entry, setup },
      { onFailure: (message) => events.onFailure(message) },
    );
  }

  /** What the relay worker counted of TCP, and of UDP by proxies. */
  relayCounters(): Record<string, number> {
    const udp = Object.entries(new UdpCounters(this.#udpCounters).snapshot())
      .map(([name, count]) => [`udp ${name}`, count]);
    const { relay } = this.#options.devices;
    const { counts, failures } = relay.counters.snapshot();
    return { ...counts, ...failures, ...Object.fromEntries(udp) };
  }

  /** Ends both. */
  async end(): Promise<void> {
    const { devices, stop } = this.#options;
    // Its connections' last segments still need the other worker.
    await devices.relay.end();
    Atomics.store(stop, 0, 1);
    devices.wake.signal();
    await this.#stack?.end();
  }
}
