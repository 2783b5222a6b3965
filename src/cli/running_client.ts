/**
 * A running split tunnel, put together. The kill switch comes first and goes
 * last; traffic is led in only when the rules stand. Disposing of it undoes
 * everything.
 */
import type { ClientConfig } from "../config/client_config.ts";
import type { LoadedClientConfig } from "../config/load_client_config.ts";
import type { ClientEngine } from "../control/client_engine.ts";
import type {
  ClientPort,
  ClientStatus,
  ExplainAnswer,
  ExplainQuestion,
  FlowView,
  ReloadAnswer,
} from "../control/client_port.ts";
import type { ClientRuntime } from "../control/client/client_runtime.ts";
import { boundInterfaces } from "../control/client/network_reaction.ts";
import type { Platform } from "../io/platform.ts";
import type { HostNetwork, Journal, OpenedCapture } from "../io/ports.ts";
import { type CapturePlace, chooseCapturePlace } from "./client_capture.ts";
import { ClientDoors } from "./client_doors.ts";
import { clientEvents } from "./client_events.ts";
import { CLIENT_MARK } from "./client_mark.ts";
import { openPacketCapture } from "./client_packet_capture.ts";
import { ClientProcess } from "./client_process.ts";
import { ClientReaction } from "./client_reaction.ts";
import { ClientRoutes, openEgress } from "./client_routes.ts";
import { liftLeftKillSwitch } from "./left_kill_switch.ts";
import { logger } from "./log.ts";
import { offerControl } from "./offer_control.ts";
import { openClientRuntime } from "./open_client_runtime.ts";
import { runningClientStatus } from "./running_client_status.ts";

/** What a client runs on. */
export interface RunningClientOptions {
  readonly loaded: LoadedClientConfig;
  readonly platform: Platform;
  readonly network: HostNetwork;
  readonly journal: Journal;
  /** Whether dropped packets are logged. */
  readonly trace: boolean;
  /** Nothing works any more. */
  readonly onFailure: (message: string) => void;
}

/** See the module header. */
export class RunningClient implements ClientPort, AsyncDisposable {
  readonly #options: RunningClientOptions;
  readonly #resources = new AsyncDisposableStack();
  readonly #startedAt = performance.now();
  #doors: ClientDoors | undefined;
  /** In the place of an interface with routes. */
  #capture: OpenedCapture | undefined;
  #engine: ClientEngine | undefined;
  #runtime: ClientRuntime | undefined;
  #reaction: ClientReaction | undefined;
  /** Whether an end is the user's wish, so that a persistent kill switch goes too. */
  #isWanted = false;
  #isUp = false;

  /**
   * Starts everything; where a part fails, what was started is undone.
   * @throws what opening a part throws.
   */
  static async start(options: RunningClientOptions): Promise<RunningClient> {
    const client = new RunningClient(options);
    try {
      await client.#start();
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(options: RunningClientOptions) {
    this.#options = options;
  }

  /** The packet side, for its figures. */
  get engine(): ClientEngine {
    return this.#started(this.#engine);
  }

  /** The end is wanted: a kill switch that persists is lifted as well. */
  expectEnd(): void {
    this.#isWanted = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  status(): ClientStatus {
    return runningClientStatus({
      runtime: this.#started(this.#runtime),
      engine: this.engine,
      path: this.#options.loaded.path,
      startedAt: this.#startedAt,
      killSwitch: this.#started(this.#doors).isShut(this.#config)
        ? "on"
        : "off",
    });
  }

  flows(): readonly FlowView[] {
    return this.#started(this.#runtime).flows();
  }

  explain(question: ExplainQuestion): ExplainAnswer {
    return this.#started(this.#runtime).explain(question);
  }

  setTunnel(name: string, wanted: "up" | "down"): void {
    this.#started(this.#runtime).setTunnel(name, wanted);
  }

  setMode(wanted: "running" | "paused"): void {
    this.#started(this.#runtime).setMode(wanted);
  }

  async reload(): Promise<ReloadAnswer> {
    const lines = await this.#started(this.#reaction).reload();
    return { result: lines.length > 0 ? "taken" : "unchanged", lines };
  }

  /** The one in force. */
  get #config(): ClientConfig {
    return this.#reaction?.config ?? this.#options.loaded.config;
  }

  async #start(): Promise<void> {
    const { platform, network, journal, loaded } = this.#options;
    const capture = this.#openCapture();
    const doors = this.#closeDoors();
    this.#doors = doors;
    const place = chooseCapturePlace(network);
    const engine = this.#resources.use(await this.#openEngine(place));
    this.#engine = engine;
    const { interfaceName } = engine;
    const runtime = openClientRuntime({
      platform,
      network,
      journal,
      engine,
      config: () => this.#config,
      nameservers: place.nameservers,
      resolvers: capture === undefined ? "taken" : "captured",
    }, this.#resources);
    this.#runtime = runtime;
    const routes = this.#leadTraffic({ doors, interfaceName });
    runtime.start();
    const reaction = new ClientReaction({
      loaded,
      network,
      runtime,
      doors,
      routes,
      interfaceName,
    });
    this.#reaction = reaction;
    this.#resources.use(reaction.watchNetwork(platform));
    const { controlSocket: path } = this.#config;
    this.#resources.use(await offerControl(this, { path, journal }));
    this.#resources.use(reaction.watchConfig());
    this.#isUp = true;
  }

  #openCapture(): OpenedCapture | undefined {
    const capture = openPacketCapture({
      platform: this.#options.platform,
      config: this.#config,
      onLine: (text) => logger("Router").info("{text}", { text }),
      onAdapters: (adapters) =>
        logger("Router").info("captured adapters: {names}", {
          names: adapters.map(({ name }) => name).join(", "),
        }),
    });
    if (capture !== undefined) this.#resources.use(capture);
    this.#capture = capture;
    return capture;
  }

  /** From now on nothing leaves but what is ours, until all else is undone. */
  #closeDoors(): ClientDoors {
    const { platform, journal } = this.#options;
    const doors = new ClientDoors({
      platform,
      journal,
      capture: this.#capture,
    });
    this.#resources.defer(() =>
      doors.end(this.#config, { wasUp: this.#isUp, isWanted: this.#isWanted })
    );
    doors.set(this.#config);
    return doors;
  }

  #openEngine({ address4, address6 }: CapturePlace): Promise<ClientEngine> {
    const { platform, network, trace, onFailure } = this.#options;
    const capture = this.#capture;
    const { killSwitch, rules } = this.#config;
    const { mode: _, interfaceName, mtu, ...limits } = this.#config.capture;
    return ClientProcess.start({
      platform,
      network,
      tun: {
        name: interfaceName,
        address4,
        address6,
        mtu: capture?.mtu ?? mtu,
      },
      ...capture === undefined ? {} : { capture },
      answeredPorts: killSwitch.allowInbound,
      mark: CLIENT_MARK,
      egress: boundInterfaces(openEgress(network, this.#config)),
      events: clientEvents({ runtime: () => this.#runtime, onFailure }),
      trace,
      limits,
      fragments: rules.policies.fragments,
    });
  }

  /** Has programs' packets come here. @returns the routes that lead them, where they are led by some. */
  #leadTraffic({ doors, interfaceName }: {
    readonly doors: ClientDoors;
    readonly interfaceName: string;
  }): ClientRoutes | undefined {
    const { platform, network, journal } = this.#options;
    if (this.#capture !== undefined) {
      this.#capture.start();
      // That of a run with an interface would shut out what is captured here.
      liftLeftKillSwitch(platform, journal);
      return undefined;
    }
    const routes = this.#resources.use(
      new ClientRoutes({ platform, network, journal }),
    );
    // A filter of Windows knows an interface from when it is there.
    doors.set(this.#config);
    routes.lead(interfaceName, this.#config);
    return routes;
  }

  #started<Part>(part: Part | undefined): Part {
    if (part === undefined) throw new Error("the client has not started yet");
    return part;
  }
}
