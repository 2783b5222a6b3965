/**
 * A running split tunnel, put together. The kill switch comes first and goes
 * last; traffic is led in only when the rules stand. Disposing of it undoes
 * everything.
 */
import metadata from "../../deno.json" with { type: "json" };
import { resolve } from "node:path";
import { dropReasonText } from "../core/columns/drop_reason.ts";
import type { ClientConfig } from "../config/client_config.ts";
import {
  loadClientConfig,
  type LoadedClientConfig,
} from "../config/load_client_config.ts";
import type { ClientEngine, ClientEvents } from "../control/client_engine.ts";
import type {
  ClientPort,
  ClientStatus,
  ExplainAnswer,
  ExplainQuestion,
  FlowView,
  ReloadAnswer,
} from "../control/client_port.ts";
import { ClientRuntime } from "../control/client/client_runtime.ts";
import type { Clock } from "../control/client/clock.ts";
import { boundInterfaces } from "../control/client/network_reaction.ts";
import { planFromConfig } from "../control/client/plan_from_config.ts";
import { type ConfigChange, ConfigWatch } from "../control/config_watch.ts";
import { serveControl } from "../control/control_server.ts";
import { resolveAll } from "../io/resolve_host.ts";
import type { Platform } from "../io/platform.ts";
import type {
  HostNetwork,
  Journal,
  NetworkChange,
  OpenedCapture,
} from "../io/ports.ts";
import { clientSocket } from "./ask_client.ts";
import { chooseCapturePlace } from "./client_capture.ts";
import { ClientDoors } from "./client_doors.ts";
import { logClientEvent, logConfigError } from "./client_log.ts";
import { refusalProblems, refusals } from "./client_refusals.ts";
import { CLIENT_MARK } from "./client_mark.ts";
import { ClientProcess } from "./client_process.ts";
import { clientNames } from "./client_names.ts";
import {
  openPacketCapture,
  untouchedResolvers,
} from "./client_packet_capture.ts";
import { clientProber } from "./client_prober.ts";
import { ClientRoutes, openEgress } from "./client_routes.ts";
import { liftLeftKillSwitch } from "./left_kill_switch.ts";
import { logger } from "./log.ts";
import { ownLookups } from "./own_lookups.ts";

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

/** Events of programs are taken in so often, where nobody asks for an owner. */
const DRAIN_INTERVAL_MS = 250;
const CONTROL_SCOPE = "control";

/** See the module header. */
export class RunningClient implements ClientPort, AsyncDisposable {
  readonly #options: RunningClientOptions;
  readonly #resources = new AsyncDisposableStack();
  readonly #startedAt = performance.now();
  #config: ClientConfig;
  #doors: ClientDoors | undefined;
  #routes: ClientRoutes | undefined;
  /** In the place of an interface with routes. */
  #capture: OpenedCapture | undefined;
  #engine: ClientEngine | undefined;
  #runtime: ClientRuntime | undefined;
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
    this.#config = options.loaded.config;
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
    const { loaded } = this.#options;
    const status = this.#started(this.#runtime).status();
    const statistics = this.engine.statistics();
    const refused = refusals(statistics);
    const counters = Object.entries(refused).map(([reason, count]) =>
      [`refused:${reason}`, count] as const
    );
    return {
      version: metadata.version,
      processId: Deno.pid,
      config: resolve(loaded.path),
      uptimeMs: performance.now() - this.#startedAt,
      killSwitch: this.#started(this.#doors).isShut(this.#config)
        ? "on"
        : "off",
      interface: this.engine.interfaceName,
      ...status,
      problems: [...status.problems, ...refusalProblems(refused)],
      counters: { ...status.counters, ...Object.fromEntries(counters) },
      drops: statistics.counters.drops,
    };
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
    const lines = this.#apply(
      await loadClientConfig(this.#options.loaded.path),
    );
    return { result: lines.length > 0 ? "taken" : "unchanged", lines };
  }

  async #start(): Promise<void> {
    const { platform, network } = this.#options;
    const capture = this.#openCapture();
    const { journal } = this.#options;
    const doors = new ClientDoors({ platform, journal, capture });
    this.#doors = doors;
    this.#resources.defer(() =>
      doors.end(this.#config, { wasUp: this.#isUp, isWanted: this.#isWanted })
    );
    doors.set(this.#config);
    const place = chooseCapturePlace(network);
    const { mode: _, interfaceName, mtu, ...limits } = this.#config.capture;
    const egress = openEgress(network, this.#config);
    const engine = await ClientProcess.start({
      platform,
      network,
      tun: {
        name: interfaceName,
        address4: place.address4,
        address6: place.address6,
        mtu: capture?.mtu ?? mtu,
      },
      ...capture === undefined ? {} : { capture },
      answeredPorts: this.#config.killSwitch.allowInbound,
      mark: CLIENT_MARK,
      egress: boundInterfaces(egress),
      events: this.#events(),
      trace: this.#options.trace,
      limits,
      fragments: this.#config.rules.policies.fragments,
    });
    this.#engine = this.#resources.use(engine);
    const runtime = this.#openRuntime(engine, place.nameservers);
    if (capture === undefined) {
      this.#routes = this.#resources.use(
        new ClientRoutes({ platform, network, journal }),
      );
      // A filter of Windows knows an interface from when it is there.
      doors.set(this.#config);
      this.#routes.lead(engine.interfaceName, this.#config);
    } else {
      capture.start();
      // That of a run with an interface would shut out what is captured here.
      liftLeftKillSwitch(platform, this.#options.journal);
    }
    runtime.start();
    this.#resources.use(platform.openNetworkMonitor({
      onChange: (changes) => this.#networkChanged(changes),
      onFailure: ({ message }) =>
        logger("Router").error(
          "changes of the network are not seen: {message}",
          {
            message,
          },
        ),
      ignored: (name) => name === engine.interfaceName,
    }));
    await this.#offerControl();
    this.#watchConfig();
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

  #openRuntime(
    engine: ClientEngine,
    nameservers: readonly Int32Array[],
  ): ClientRuntime {
    const { platform, network } = this.#options;
    const processes = this.#resources.use(platform.openProcessTable());
    const clock: Clock = { now: engine.now, after };
    const resolvConf = this.#capture !== undefined
      ? untouchedResolvers(platform, this.#options.journal)
      : this.#resources.use(clientNames({
        platform,
        journal: this.#options.journal,
        interfaceName: engine.interfaceName,
        processes,
        nameservers,
        clock,
        onChange: () => this.#runtime?.onResolversChange(),
        onWarning: (text) => logger("DNS").warn("{text}", { text }),
      }));
    const sockets = platform.openStreamSockets();
    const runtime: ClientRuntime = new ClientRuntime({
      plan: planFromConfig(this.#config),
      engine,
      processes,
      ownProcessId: Deno.pid,
      pathStyle: platform.pathStyle,
      nameService: platform.nameService,
      clock,
      random: Math.random,
      resolve: platform.nameService === undefined ? resolveAll : ownLookups({
        resolvers: () => runtime.directResolvers(),
        source: (words) => network.egressFor(words, CLIENT_MARK)?.source,
        system: resolveAll,
      }),
      prober: (request) =>
        clientProber({ sockets, platform, ownFlows: runtime.ownFlows })(
          request,
        ),
      chooseEgress: () => openEgress(network, this.#config),
      nameservers,
      resolvConf,
    });
    this.#runtime = runtime;
    this.#resources.defer(() => runtime.stop());
    this.#resources.use(runtime.subscribe(logClientEvent));
    const timer = setInterval(() => processes.drain(), DRAIN_INTERVAL_MS);
    this.#resources.defer(() => clearInterval(timer));
    const { lineage } = processes;
    if (lineage.kind === "asking") {
      logger("Rule").info(
        "programs started by others are told by asking alone: {reason}",
        { reason: lineage.reason },
      );
    }
    return runtime;
  }

  #events(): ClientEvents {
    const failed = this.#options.onFailure;
    return {
      onAsk: (ask) => this.#runtime?.onAsk(ask),
      onFlowEnded: (row, generation) =>
        this.#runtime?.onFlowEnded(row, generation),
      onDnsAnswer: (answer) => this.#runtime?.onDnsAnswer(answer),
      onHandshake: (outbound, result) =>
        this.#runtime?.onHandshake(outbound, result),
      onFailure: failed,
      onLine: (text) => logger("Proxy").warn("{text}", { text }),
      onDrop: (reason, flow) =>
        logger("Router").trace("drop: {reason}: {flow}", {
          reason: dropReasonText(reason),
          flow,
        }),
    };
  }

  #networkChanged(changes: readonly NetworkChange[]): void {
    this.#runtime?.onNetworkChange(changes);
    // Another network has other resolvers, and routes to be nearer than.
    this.#runtime?.onResolversChange();
    this.#routes?.leadAgain(this.engine.interfaceName, this.#config);
    const { enabled, allowLan } = this.#config.killSwitch;
    if (allowLan && (enabled || this.#capture !== undefined)) {
      this.#doors?.set(this.#config);
    }
  }

  async #offerControl(): Promise<void> {
    const { journal } = this.#options;
    const { controlSocket } = this.#config;
    const socket = clientSocket(controlSocket);
    if (socket.isFile) {
      const { path } = socket;
      journal.record(CONTROL_SCOPE, [{ kind: "file", path }]);
      this.#resources.defer(() => journal.record(CONTROL_SCOPE, []));
    }
    const onFailure = (error: unknown) =>
      logger("Core").warn("nobody can connect to {path} for now: {error}", {
        path: socket.path,
        error,
      });
    this.#resources.use(await serveControl(socket, this, { onFailure }));
  }

  #watchConfig(): void {
    const { loaded } = this.#options;
    this.#resources.use(
      new ConfigWatch(loaded.path, {
        loaded,
        load: loadClientConfig,
        onChange: (change) => this.#changed(change),
      }),
    );
  }

  #changed(change: ConfigChange<LoadedClientConfig>): void {
    if (change.kind === "loaded") {
      for (const line of this.#apply(change.loaded)) {
        logger("Config").info("{line}", { line });
      }
      return;
    }
    logConfigError(change.error);
  }

  /** Takes another configuration. @returns what changed, a line each. */
  #apply(loaded: LoadedClientConfig): string[] {
    const before = this.#config;
    const { config } = loaded;
    // What is made at the start stays as it is until the next one.
    this.#config = {
      ...config,
      capture: before.capture,
      controlSocket: before.controlSocket,
    };
    const lines = [
      ...this.#started(this.#runtime).reload(planFromConfig(config)),
    ];
    if (!isSame(before.killSwitch, config.killSwitch)) {
      this.#doors?.set(this.#config);
      openEgress(this.#options.network, this.#config);
      lines.push("kill switch: changed");
      if (before.killSwitch.allowLan !== config.killSwitch.allowLan) {
        lines.push("killSwitch.allowLan: its routes need a restart");
      }
    }
    const { fragments } = config.rules.policies;
    if (before.rules.policies.fragments !== fragments) {
      lines.push("a change of fragments needs a restart");
    }
    const sections = ["capture", "controlSocket", "datapath", "log"] as const;
    for (const section of sections) {
      if (isSame(before[section], config[section])) continue;
      lines.push(`a change of ${section} needs a restart`);
    }
    return lines;
  }

  #started<Part>(part: Part | undefined): Part {
    if (part === undefined) throw new Error("the client has not started yet");
    return part;
  }
}

function after(delayMs: number, run: () => void): Disposable {
  const timer = setTimeout(run, delayMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

function isSame(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
