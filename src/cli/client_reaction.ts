/**
 * What a running client does when its configuration or the host's network
 * changes. It has the configuration that is in force.
 */
import type { ClientConfig } from "../config/client_config.ts";
import {
  loadClientConfig,
  type LoadedClientConfig,
} from "../config/load_client_config.ts";
import type { ClientRuntime } from "../control/client/client_runtime.ts";
import { planFromConfig } from "../control/client/plan_from_config.ts";
import { type ConfigChange, ConfigWatch } from "../control/config_watch.ts";
import type { Platform } from "../io/platform.ts";
import type { HostNetwork, NetworkChange } from "../io/ports.ts";
import { changeClientConfig } from "./client_config_change.ts";
import type { ClientDoors } from "./client_doors.ts";
import { logConfigError } from "./client_log.ts";
import { type ClientRoutes, openEgress } from "./client_routes.ts";
import { logger } from "./log.ts";

/** What follows a change. */
export interface ClientReactionOptions {
  /** What the client was started with. */
  readonly loaded: LoadedClientConfig;
  readonly network: HostNetwork;
  readonly runtime: ClientRuntime;
  readonly doors: ClientDoors;
  /** Undefined where packets are captured on their way. */
  readonly routes: ClientRoutes | undefined;
  /** The capture's. */
  readonly interfaceName: string;
}

/** See the module header. */
export class ClientReaction {
  readonly #options: ClientReactionOptions;
  #config: ClientConfig;

  constructor(options: ClientReactionOptions) {
    this.#options = options;
    this.#config = options.loaded.config;
  }

  /** The configuration in force. */
  get config(): ClientConfig {
    return this.#config;
  }

  /** Follows the network until what is returned is disposed of. */
  watchNetwork(platform: Platform): AsyncDisposable {
    const { interfaceName } = this.#options;
    return platform.openNetworkMonitor({
      onChange: (changes) => this.#networkChanged(changes),
      onFailure: ({ message }) =>
        logger("Router").error(
          "changes of the network are not seen: {message}",
          { message },
        ),
      ignored: (name) => name === interfaceName,
    });
  }

  /** Follows the configuration's file until what is returned is disposed of. */
  watchConfig(): AsyncDisposable {
    const { loaded } = this.#options;
    return new ConfigWatch(loaded.path, {
      loaded,
      load: loadClientConfig,
      onChange: (change) => this.#configChanged(change),
    });
  }

  /** Reads the file anew and takes it. @returns what changed, a line each. @throws {ConfigError} */
  async reload(): Promise<string[]> {
    return this.#take(await loadClientConfig(this.#options.loaded.path));
  }

  #networkChanged(changes: readonly NetworkChange[]): void {
    const { runtime, routes, doors, interfaceName } = this.#options;
    runtime.onNetworkChange(changes);
    // Another network has other resolvers, and routes to be nearer than.
    runtime.onResolversChange();
    routes?.leadAgain(interfaceName, this.#config);
    const { enabled, allowLan } = this.#config.killSwitch;
    if (allowLan && (enabled || routes === undefined)) doors.set(this.#config);
  }

  #configChanged(change: ConfigChange<LoadedClientConfig>): void {
    if (change.kind === "failed") return logConfigError(change.error);
    for (const line of this.#take(change.loaded)) {
      logger("Config").info("{line}", { line });
    }
  }

  #take({ config: wanted }: LoadedClientConfig): string[] {
    const { network, runtime, doors } = this.#options;
    const change = changeClientConfig(this.#config, wanted);
    this.#config = change.config;
    const lines = [...runtime.reload(planFromConfig(wanted))];
    if (change.killSwitch === "changed") {
      doors.set(this.#config);
      openEgress(network, this.#config);
      lines.push("kill switch: changed");
    }
    return [...lines, ...change.lines];
  }
}
