/** `sluice server`: the gateway, from its config file to its end. */
import { Command, Option } from "@commander-js/extra-typings";
import type { LoadedServerConfig } from "../config/load_server_config.ts";
import type { ServerConfig } from "../config/server_config.ts";
import { formatAddress } from "../core/wire/address.ts";
import {
  DEFAULT_CONFIG,
  ensureConfig,
  loadWithWarnings,
} from "./config_file.ts";
import { signalsHelp } from "./attend.ts";
import { logger, type LogLevel } from "./log.ts";
import { LongRun } from "./long_run.ts";
import { RunningServer } from "./running_server.ts";
import { serverAddresses, serverTcpProxy, tcpPolicy } from "./server_setup.ts";
import { attendedTunnel } from "./statistics.ts";
import { formatStatus } from "./status_line.ts";

/** The client's, and the one to the outside. */
const SOCKETS_PER_CONNECTION = 2;

/** `sluice server`. */
export function serverCommand(): Command<[], { config: string }> {
  return new Command("server")
    .description("run a gateway for WireGuard and AmneziaWG clients")
    .addOption(
      new Option(
        "-c, --config <file>",
        "the config; made with fresh keys where it does not exist",
      ).default(DEFAULT_CONFIG),
    )
    .addHelpText(
      "after",
      `
Clients reach the internet through this machine: ping, DNS and UDP are
translated, TCP is relayed here, without the system's NAT or routing. Ctrl+C
ends it and undoes what it changed. Changes of peers in the config are taken
while it runs.

${signalsHelp()}Environment: SLUICE_CRYPTO=auto|wasm|libcrypto|bcrypt|noble
             SLUICE_WORKERS=auto|single|1 to 16, instead of the config's

Examples:
  sluice server
  sluice server -c /etc/sluice/server.yaml --log-level debug`,
    )
    .action(async ({ config }, command) => {
      const { logLevel } = command.optsWithGlobals() as { logLevel?: LogLevel };
      await runServer(config, logLevel);
    });
}

async function runServer(path: string, logLevel?: LogLevel): Promise<void> {
  await ensureConfig(path);
  const loaded = await loadWithWarnings(path);
  const level = logLevel ?? loaded.config.log.level;
  using run = await LongRun.begin({
    command: "server",
    level,
    format: formatStatus,
  });
  const { platform, ending } = run;
  if (loaded.config.interface.tun !== "none") run.requireTun();
  const openFiles = platform.raiseOpenFileLimit();
  const { journal, network } = run.openNetwork();
  await using server = await run.start(() =>
    RunningServer.start({
      loaded,
      platform,
      network,
      journal,
      trace: level === "trace",
      onFailure: (message) => ending.fail(message),
    })
  );
  // Whoever reads that it is up may ask for the counters at once.
  const attending = run.attend(attendedTunnel(server.tunnel));
  logStart(loaded, server);
  logTcp(loaded.config, openFiles);
  await attending;
}

function logStart(loaded: LoadedServerConfig, server: RunningServer): void {
  const { config } = loaded;
  const { tunnel } = server;
  const log = logger("Core");
  log.info("gateway up: UDP port {port}, {addresses}, {adapter}", {
    port: tunnel.port,
    addresses: serverAddresses(config).join(", "),
    adapter: tunnel.interfaceName === undefined
      ? "no TUN adapter"
      : `TUN adapter ${tunnel.interfaceName}`,
  });
  log.info("crypto: {crypto}; echo: {echo}; peers: {peers}", {
    crypto: tunnel.crypto.description,
    echo: tunnel.echo ?? "none",
    peers: config.peers.length,
  });
  if (tunnel.crypto.refused !== undefined) {
    log.info("slower crypto, because {reason}", {
      reason: tunnel.crypto.refused,
    });
  }
  if (tunnel.echo === "none") {
    log.warn(
      "clients can't ping the outside: neither raw nor ping sockets are allowed; " +
        "run as root, or widen net.ipv4.ping_group_range",
    );
  }
  if (config.peers.length === 0) {
    log.info("no clients yet; add one: sluice peer add NAME -c {path}", {
      path: loaded.path,
    });
  }
}

function logTcp(config: ServerConfig, openFiles: number): void {
  const log = logger("Core");
  const { forward, interface: tunnel } = config;
  const proxy = serverTcpProxy(config);
  if (proxy === undefined) {
    log.info("TCP to the outside: {policy}{why}", {
      policy: tcpPolicy(config),
      why: forward.tcp === "proxy" && tunnel.tun === "none"
        ? ", because proxy needs a TUN adapter"
        : "",
    });
    return;
  }
  log.info("TCP to the outside: by proxy at {addresses}", {
    addresses: [proxy.addresses.ipv4, proxy.addresses.ipv6]
      .flatMap((prefix) => prefix ? formatAddress(prefix.words) : [])
      .join(", "),
  });
  const wanted = forward.tcpProxy.maxConnections * SOCKETS_PER_CONNECTION +
    forward.udp.maxMappings;
  if (openFiles < wanted) {
    log.warn(
      "this process may open {openFiles} files, {wanted} sockets are allowed by " +
        "forward.tcpProxy.maxConnections and forward.udp.maxMappings",
      { openFiles, wanted },
    );
  }
}
