/** `sluice connect`: this machine as a client of a gateway, by a .conf file. */
import { Command, Option } from "@commander-js/extra-typings";
import { basename } from "node:path";
import { dropReasonText } from "../core/columns/drop_reason.ts";
import { formatPrefix } from "../core/wire/address.ts";
import { PLAIN_WIREGUARD } from "../core/wireguard/amnezia.ts";
import { parseWireguardConf, type WgConf } from "../config/wg_conf.ts";
import { type DesiredPeer, PeerSync } from "../control/peer_sync.ts";
import type { HostNetwork } from "../io/ports.ts";
import {
  clientInterface,
  clientPeers,
  clientSizes,
  coversOwnEndpoint,
} from "./client_setup.ts";
import type { EndingWatch } from "./ending.ts";
import { logger, type LogLevel } from "./log.ts";
import { LongRun } from "./long_run.ts";
import { offerUapi } from "./offer_uapi.ts";
import { cryptoChoice, timerConstants, workerChoice } from "./overrides.ts";
import { readConf } from "./read_conf.ts";
import { attendedTunnel } from "./statistics.ts";
import { formatStatus } from "./status_line.ts";
import { type TunnelEvents, TunnelProcess } from "./tunnel_process.ts";

const NAME_LIMIT = 15;
const NO_FILE = "sluice peer add NAME --conf FILE makes one, at the gateway";

type ConnectOptions = { name?: string };

/** `sluice connect`. */
export function connectCommand(): Command<[string], ConnectOptions> {
  return new Command("connect")
    .description("connect this machine to a gateway by a .conf file")
    .argument("<file>", "a WireGuard or AmneziaWG .conf file")
    .addOption(
      new Option(
        "-n, --name <name>",
        "name of the interface; the file's name where left out",
      ),
    )
    .addHelpText(
      "after",
      `
Routes go to the tunnel as AllowedIPs say; with 0.0.0.0/0 everything does. The
DNS line of the file is shown, not applied. Ctrl+C ends it and undoes what it
changed. \`wg show\` works on the interface.

Examples:
  sluice connect laptop.conf
  sluice connect work.conf --name work0 --log-level debug`,
    )
    .action(async (file, options, command) => {
      const { logLevel } = command.optsWithGlobals() as { logLevel?: LogLevel };
      await connect(file, options, logLevel ?? "info");
    });
}

async function connect(
  file: string,
  options: ConnectOptions,
  level: LogLevel,
): Promise<void> {
  const conf = parseWireguardConf(await readConf(file, NO_FILE), file);
  const name = options.name ?? interfaceName(file);
  using run = await LongRun.begin({
    command: "connect",
    level,
    format: formatStatus,
    warnings: conf.warnings,
  });
  const { platform, ending } = run;
  run.requireTun();
  const { journal, network } = run.openNetwork();
  const peers = await clientPeers(conf);
  const adapter = clientInterface(conf, name);
  await using stack = new AsyncDisposableStack();
  const tunnel = await run.start(async () => {
    const tunnel = stack.use(TunnelProcess.start({
      platform,
      network,
      sizes: clientSizes(conf),
      engine: { kind: "point-to-point" },
      privateKey: conf.interface.privateKey,
      amnezia: conf.interface.amnezia ?? PLAIN_WIREGUARD,
      timers: timerConstants(),
      crypto: cryptoChoice("auto"),
      workers: workerChoice("auto"),
      mtu: adapter.mtu,
      listenPort: conf.interface.listenPort ?? 0,
      source: "system",
      egressIndex: egressIndex(network, peers),
      interface: adapter,
      trace: level === "trace",
      events: events(ending),
    }));
    const sync = new PeerSync({
      device: tunnel.device,
      now: tunnel.now,
      removePeer: (row) => tunnel.removePeer(row),
      memory: () => undefined,
    });
    sync.apply(peers);
    const { amnezia } = conf.interface;
    stack.use(await offerUapi({ tunnel, name, amnezia, journal }));
    return tunnel;
  });
  tunnel.handshakeNow();
  // Whoever reads that it is up may ask for the counters at once.
  const attending = run.attend(attendedTunnel(tunnel));
  logStart(conf, tunnel);
  await attending;
}

function events(ending: EndingWatch): TunnelEvents {
  return {
    onPacket: () => {},
    onDrop: (reason, _peer, flow) => {
      logger("Router").trace("drop: {reason}: {flow}", {
        reason: dropReasonText(reason),
        flow,
      });
    },
    onHandshake: (_peer, result) => {
      if (result === "established") logger("Tunnel").info("handshake done");
      else {
        logger("Tunnel").warn(
          "the gateway does not answer: are its address, port and keys right?",
        );
      }
    },
    onFailure: (message) => ending.fail(message),
    onWarning: (message) => logger("Core").warn("{message}", { message }),
  };
}

/** The interface to bind to, where the tunnel's routes cover its own endpoint. */
function egressIndex(
  network: HostNetwork,
  peers: readonly DesiredPeer[],
): number | undefined {
  if (!coversOwnEndpoint(peers)) return undefined;
  const endpoint = peers.find((peer) => peer.endpoint !== undefined)?.endpoint;
  return endpoint && network.egressFor(endpoint.words)?.interfaceIndex;
}

function logStart(conf: WgConf, tunnel: TunnelProcess): void {
  const log = logger("Core");
  log.info("tunnel up: TUN adapter {name}, {addresses}, UDP port {port}", {
    name: tunnel.interfaceName,
    addresses: conf.interface.addresses.map(formatPrefix).join(", "),
    port: tunnel.port,
  });
  log.info("crypto: {crypto}", { crypto: tunnel.crypto.description });
  if (conf.interface.dns.length > 0) {
    log.info("the gateway's DNS is {dns}; set it in the system yourself", {
      dns: conf.interface.dns.join(", "),
    });
  }
}

/** The file's name without its ending, as wg-quick takes it. */
function interfaceName(file: string): string {
  const name = basename(file).replace(/\.conf$/, "")
    .replaceAll(/[^A-Za-z0-9_=+.-]/g, "-").slice(0, NAME_LIMIT);
  return name === "" ? "sluice0" : name;
}
