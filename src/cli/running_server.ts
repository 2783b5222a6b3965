/**
 * A running gateway: the tunnel, its peers as the config lists them, DNS, the
 * socket for `wg`, the file that is watched. Disposing of it undoes everything.
 */
import { DropReason, dropReasonText } from "../core/columns/drop_reason.ts";
import { PLAIN_WIREGUARD } from "../core/wireguard/amnezia.ts";
import { ConfigError, formatProblem } from "../config/problems.ts";
import {
  type LoadedServerConfig,
  loadServerConfig,
} from "../config/load_server_config.ts";
import type { ServerConfig } from "../config/server_config.ts";
import { type ConfigChange, ConfigWatch } from "../control/config_watch.ts";
import { PeerMemoryFile } from "../config/peer_memory.ts";
import { PeerSync } from "../control/peer_sync.ts";
import type { Platform } from "../io/platform.ts";
import type { HostNetwork, Journal } from "../io/ports.ts";
import { HostAddresses } from "./host_addresses.ts";
import { logger } from "./log.ts";
import {
  cryptoChoice,
  loadMode,
  timerConstants,
  workerChoice,
} from "./overrides.ts";
import { offerUapi } from "./offer_uapi.ts";
import { ServerDns } from "./server_dns.ts";
import {
  serverGateway,
  serverInterface,
  serverPeers,
  serverSizes,
  serverTcpProxy,
} from "./server_setup.ts";
import { TunnelProcess } from "./tunnel_process.ts";

/** What a server runs on. */
export interface RunningServerOptions {
  readonly loaded: LoadedServerConfig;
  readonly platform: Platform;
  readonly network: HostNetwork;
  readonly journal: Journal;
  /** Whether dropped packets are logged. */
  readonly trace: boolean;
  /** The gateway no longer works. */
  readonly onFailure: (message: string) => void;
}

const MEMORY_INTERVAL_MS = 60_000;

/** See the module header. */
export class RunningServer implements AsyncDisposable {
  readonly tunnel: TunnelProcess;
  readonly #options: RunningServerOptions;
  readonly #sync: PeerSync;
  readonly #memory: PeerMemoryFile;
  readonly #resources = new AsyncDisposableStack();
  #config: ServerConfig;
  #dns: ServerDns | undefined;

  /**
   * Starts everything; where a part fails, what was started is undone.
   * @throws what opening the tunnel throws.
   */
  static async start(options: RunningServerOptions): Promise<RunningServer> {
    const memory = await PeerMemoryFile.load(options.loaded.path);
    const server = new RunningServer(options, memory);
    try {
      await server.#start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(options: RunningServerOptions, memory: PeerMemoryFile) {
    this.#options = options;
    this.#config = options.loaded.config;
    this.#memory = memory;
    // The last to go: what ends connections still needs the host's network.
    this.#resources.defer(() => options.network.reset());
    this.tunnel = this.#resources.use(this.#openTunnel());
    const { device, now } = this.tunnel;
    device.setLoadMode(loadMode());
    this.#sync = new PeerSync({
      device,
      now,
      removePeer: (row) => this.tunnel.removePeer(row),
      memory: (publicKey) => memory.get(publicKey),
    });
  }

  /** What logs call the peer in a row. */
  peerName(row: number): string {
    return this.#sync.nameOf(row) ?? `peer ${row}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#saveMemory();
    await this.#resources.disposeAsync();
  }

  async #start(): Promise<void> {
    const { loaded } = this.#options;
    this.#admit();
    await this.#followPeers(loaded.config);
    if (loaded.config.dns.listen) {
      this.#dns = this.#resources.use(
        new ServerDns({
          config: loaded.config,
          now: this.tunnel.now,
          sendPacket: (peer, packet) =>
            this.tunnel.control.sendPacket(peer, packet),
          tcp: this.tunnel.interfaceName === undefined ? "none" : "listen",
        }),
      );
    }
    this.#resources.use(
      await offerUapi({
        tunnel: this.tunnel,
        name: loaded.config.interface.name,
        amnezia: loaded.config.interface.amnezia,
        journal: this.#options.journal,
      }),
    );
    this.#resources.use(
      new ConfigWatch(loaded.path, {
        loaded,
        load: loadServerConfig,
        onChange: (change) => this.#changed(change),
      }),
    );
    const timer = setInterval(() => this.#saveMemory(), MEMORY_INTERVAL_MS);
    this.#resources.defer(() => clearInterval(timer));
  }

  /** Where the host's own firewall would drop what peers send. */
  #admit(): void {
    const { network } = this.#options;
    const { port } = this.tunnel;
    const admitted = network.admit(port);
    if (admitted.kind !== "refused") return;
    logger("Core").warn(
      "the firewall could not be told to let UDP port {port} in: {reason}",
      { port, reason: admitted.reason },
    );
  }

  #openTunnel(): TunnelProcess {
    const { platform, network, trace, onFailure } = this.#options;
    const config = this.#config;
    const { interface: tunnel } = config;
    const log = logger("Router");
    const hostAddresses = this.#resources.use(new HostAddresses(tunnel.name));
    return TunnelProcess.start({
      platform,
      network,
      sizes: serverSizes(config),
      engine: {
        kind: "gateway",
        config: serverGateway(config, hostAddresses.column),
      },
      privateKey: tunnel.privateKey,
      amnezia: tunnel.amnezia ?? PLAIN_WIREGUARD,
      timers: timerConstants(),
      crypto: cryptoChoice(config.datapath.crypto),
      workers: workerChoice(config.datapath.workers),
      mtu: tunnel.mtu,
      listenPort: tunnel.listenPort,
      source: "sticky",
      interface: serverInterface(config),
      relay: serverTcpProxy(config),
      trace,
      events: {
        onPacket: (peer, packet) => {
          const reason = this.#dns?.service.handlePacket(peer, packet) ??
            DropReason.ProtocolNotForwarded;
          if (reason !== DropReason.None) this.tunnel.countDrop(reason);
        },
        onDrop: (reason, peer, flow) => {
          log.trace("drop: {reason}: {flow}{from}", {
            reason: dropReasonText(reason),
            flow,
            from: peer >= 0 ? ` from ${this.peerName(peer)}` : "",
          });
        },
        onHandshake: (peer, result) => {
          const name = this.peerName(peer);
          if (result === "established") {
            logger("Tunnel").info("{name}: handshake done", { name });
          } else logger("Tunnel").info("{name}: no answer, gave up", { name });
        },
        onFailure,
        onWarning: (message) => logger("Core").warn("{message}", { message }),
      },
    });
  }

  async #changed(change: ConfigChange<LoadedServerConfig>): Promise<void> {
    const log = logger("Config");
    if (change.kind === "failed") {
      const { error } = change;
      const lines = error instanceof ConfigError
        ? error.problems.map(formatProblem)
        : [error.message];
      for (const line of lines) log.error("{line}", { line });
      log.error("the config was not taken; the old one stays in force");
      return;
    }
    const { config } = change.loaded;
    for (const section of restartSections(this.#config, config)) {
      log.warn("a change of {section} needs a restart", { section });
    }
    this.#config = { ...this.#config, peers: config.peers };
    this.#dns?.update(this.#config);
    await this.#followPeers(config);
  }

  async #followPeers(config: ServerConfig): Promise<void> {
    const log = logger("Peers");
    const peers = await serverPeers(
      config,
      (message) => log.warn("{message}", { message }),
    );
    try {
      const { added, removed, changed } = this.#sync.apply(peers);
      if (added.length > 0) log.info("added {names}", { names: list(added) });
      if (removed.length > 0) {
        log.info("removed {names}", { names: list(removed) });
      }
      if (changed.length > 0) {
        log.info("changed {names}", { names: list(changed) });
      }
    } catch (error) {
      log.error("{reason}; restart the server to make room", {
        reason: (error as Error).message,
      });
    }
    this.tunnel.control.drain();
  }

  async #saveMemory(): Promise<void> {
    try {
      await this.#memory.save(this.tunnel.device);
    } catch (error) {
      logger("Peers").debug("{path} not written: {reason}", {
        path: this.#memory.path,
        reason: (error as Error).message,
      });
    }
  }
}

/** Names in one line, the first ten of them. */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(", ");
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}

/** The sections that differ and are read only at the start. */
function restartSections(before: ServerConfig, after: ServerConfig): string[] {
  const sections = ["interface", "forward", "dns", "datapath", "log"] as const;
  return sections.filter((section) =>
    Deno.inspect(before[section], { depth: 9, iterableLimit: 999 }) !==
      Deno.inspect(after[section], { depth: 9, iterableLimit: 999 })
  );
}
