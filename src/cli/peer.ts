/** `sluice peer add|list|show|remove`: the clients in a server.yaml. */
import { Command, Option } from "@commander-js/extra-typings";
import { writePrivateFile } from "../config/atomic_write.ts";
import { type HostPort, parseHostPort } from "../config/endpoint.ts";
import { parseKey } from "../config/keys.ts";
import { clientConf } from "../control/client_conf.ts";
import {
  type AddedPeer,
  addPeer,
  findPeer,
  type PeerRequest,
  removePeer,
} from "../control/peers.ts";
import { publicEndpoint } from "../control/public_endpoint.ts";
import { qrWidth, renderQr } from "../control/qr.ts";
import {
  DEFAULT_CONFIG,
  ensureConfig,
  loadWithWarnings,
} from "./config_file.ts";
import { closeFile } from "../io/platform.ts";
import { ExitCode, systemReason, UserError } from "./errors.ts";
import {
  isTerminal,
  terminalColumns,
  wantsColor,
  writeError,
  writeOut,
} from "./output.ts";
import { liveState } from "./live_state.ts";
import { peerDetails, peerJson, peerTable } from "./peer_view.ts";

/** What `peer add` was asked. */
type AddOptions = {
  readonly config: string;
  readonly conf?: string;
  readonly qr?: true;
  readonly endpoint?: string;
  readonly psk: boolean;
  readonly publicKey?: string;
};

/** `sluice peer`. */
export function peerCommand(): Command {
  return new Command("peer")
    .description("add, list, show and remove clients of a gateway")
    .addHelpText(
      "after",
      `
Examples:
  sluice peer add phone --qr                    scan it with the WireGuard app
  sluice peer add laptop --conf laptop.conf     then: wg-quick up ./laptop.conf
  sluice peer add box --public-key KEY          the client keeps its private key
  sluice peer list
  sluice peer remove phone

A running server takes the change by itself.`,
    )
    .addCommand(addCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(removeCommand());
}

function configOption() {
  return new Option("-c, --config <file>", "the gateway's config").default(
    DEFAULT_CONFIG,
  );
}

function addCommand(): Command<[string], AddOptions> {
  return new Command("add")
    .description("add a client: hand out addresses, make keys, write its .conf")
    .argument(
      "<name>",
      "its name; it also resolves as NAME.sluice inside the tunnel",
    )
    .option(
      "--conf <file>",
      "write the client's .conf there (0600) instead of printing it",
    )
    .option("--qr", "show the client's .conf as a QR code")
    .option("--endpoint <host[:port]>", "where the client reaches this gateway")
    .option("--psk", "make a preshared key as well", true)
    .option("--no-psk", "make no preshared key")
    .option(
      "--public-key <key>",
      "the client's own public key; it keeps its private key",
    )
    .addOption(configOption())
    .addHelpText(
      "after",
      `
Without --conf and --qr the .conf is printed. The client's private key is in it
and nowhere else: what is lost can't be shown again.

Examples:
  sluice peer add phone --qr --endpoint vpn.example.org
  sluice peer add laptop --conf laptop.conf --endpoint 203.0.113.7:51820`,
    )
    .action(add);
}

async function add(name: string, options: AddOptions): Promise<void> {
  const publicKey = options.publicKey === undefined
    ? undefined
    : readPublicKey(options.publicKey);
  if (publicKey !== undefined && options.qr) {
    throw new UserError(
      "--qr needs the client's private key, and --public-key leaves it with the client",
      "leave one of them out",
      ExitCode.Usage,
    );
  }
  if (
    options.endpoint !== undefined &&
    parseHostPort(options.endpoint, 1) === undefined
  ) {
    throw new UserError(
      `--endpoint "${options.endpoint}" is not an endpoint`,
      "write HOST or HOST:PORT, such as vpn.example.org, 203.0.113.7:51820 or [2001:db8::7]:51820",
      ExitCode.Usage,
    );
  }
  await ensureConfig(options.config);
  const { config } = await loadWithWarnings(options.config);
  const reach = await publicEndpoint(config, options.endpoint);
  const request = {
    name,
    presharedKey: options.psk ? "make" as const : "none" as const,
    ...(publicKey === undefined ? {} : { publicKey }),
  };
  const text = await addWithFile(options, request, reach.endpoint);
  writeError(`added peer "${name}" to ${options.config}\n`);
  if (reach.note !== undefined) writeError(`note: ${reach.note}\n`);
  if (options.conf !== undefined) {
    writeError(`wrote ${options.conf} (only its owner may read it)\n`);
  }
  if (options.qr) showQr(text);
  else if (options.conf === undefined) writeOut(text);
}

/**
 * Adds the peer and writes its file, both or neither: a client's key that is
 * written nowhere would be lost.
 * @returns the file's text.
 */
async function addWithFile(
  { config: path, conf }: AddOptions,
  request: PeerRequest,
  endpoint: HostPort,
): Promise<string> {
  let text = "";
  let written = false;
  try {
    const prepare = async ({ peer, config }: AddedPeer) => {
      text = clientConf(config, peer, endpoint);
      if (conf === undefined) return;
      await writeConf(conf, text);
      written = true;
    };
    await addPeer(path, request, { prepare, closeFile });
    return text;
  } catch (error) {
    if (conf !== undefined && written) await Deno.remove(conf).catch(() => {});
    throw error;
  }
}

async function writeConf(path: string, text: string): Promise<void> {
  try {
    await writePrivateFile(path, text, { existing: "never", closeFile });
  } catch (error) {
    throw new UserError(
      `can't write ${path}: ${systemReason(error)}`,
      "name another file with --conf; nothing was changed",
      ExitCode.Failure,
      { cause: error },
    );
  }
}

function showQr(text: string): void {
  const code = renderQr(text, { style: wantsColor("out") ? "ansi" : "plain" });
  writeOut(code);
  const width = qrWidth(text);
  if (isTerminal("out") && terminalColumns() < width) {
    writeError(`note: the code needs a terminal ${width} characters wide\n`);
  }
}

function listCommand(): Command<[], { config: string; json?: true }> {
  return new Command("list")
    .description(
      "list all clients, with handshakes and traffic where the gateway runs",
    )
    .option("--json", "print JSON")
    .addOption(configOption())
    .action(async ({ config: path, json }) => {
      const { config } = await loadWithWarnings(path);
      const live = await liveState(config.interface.name);
      if (json) {
        writeOut(
          JSON.stringify(
            config.peers.map((peer) => peerJson(peer, live)),
            null,
            2,
          ) + "\n",
        );
      } else if (config.peers.length === 0) {
        writeError(`no peers in ${path}; sluice peer add NAME adds one\n`);
      } else {
        writeOut(peerTable(config.peers, live, Date.now()));
      }
    });
}

function showCommand(): Command<[string], { config: string; json?: true }> {
  return new Command("show")
    .description("show one client")
    .argument("<name>", "its name")
    .option("--json", "print JSON")
    .addOption(configOption())
    .action(async (name, { config: path, json }) => {
      const { config } = await loadWithWarnings(path);
      const peer = findPeer(config, name);
      const live = await liveState(config.interface.name);
      writeOut(
        json
          ? JSON.stringify(peerJson(peer, live), null, 2) + "\n"
          : peerDetails(peer, config, live, Date.now()),
      );
    });
}

function removeCommand(): Command<[string], { config: string }> {
  return new Command("remove")
    .description("remove a client; its keys stop working at once")
    .argument("<name>", "its name")
    .addOption(configOption())
    .action(async (name, { config: path }) => {
      await loadWithWarnings(path);
      const peer = await removePeer(path, name, { closeFile });
      writeError(`removed peer "${peer.name}" from ${path}\n`);
    });
}

function readPublicKey(text: string): Uint8Array {
  const key = parseKey(text);
  if (key !== undefined) return key;
  throw new UserError(
    "--public-key is not a WireGuard key",
    "it must be 44 characters of base64 that end in =, as sluice pubkey prints it",
    ExitCode.Usage,
  );
}
