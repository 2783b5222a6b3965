/** wireguard-go in a namespace, configured by `wg`, and what `wg show` says. */
import type { Namespace } from "./lab.ts";
import type { LoggedProcess } from "./process.ts";
import { waitFor } from "./wait.ts";
import { fetchWireguardGo } from "./wireguard_go_package.ts";

/** A peer in the terms of `wg`. */
export interface WgPeerSettings {
  readonly publicKey: string;
  readonly presharedKey?: string;
  readonly endpoint?: string;
  readonly allowedIps: readonly string[];
  /** Seconds. */
  readonly persistentKeepalive?: number;
}

/** One tunnel in the terms of `wg`. */
export interface WgSettings {
  readonly privateKey: string;
  readonly listenPort?: number;
  readonly peers: readonly WgPeerSettings[];
}

/** The text of a `.conf` file as `wg setconf` takes it. */
export function wgConf(settings: WgSettings): string {
  const lines = ["[Interface]", `PrivateKey = ${settings.privateKey}`];
  if (settings.listenPort !== undefined) {
    lines.push(`ListenPort = ${settings.listenPort}`);
  }
  for (const peer of settings.peers) {
    lines.push("", "[Peer]", `PublicKey = ${peer.publicKey}`);
    if (peer.presharedKey) lines.push(`PresharedKey = ${peer.presharedKey}`);
    if (peer.endpoint) lines.push(`Endpoint = ${peer.endpoint}`);
    lines.push(`AllowedIPs = ${peer.allowedIps.join(", ")}`);
    if (peer.persistentKeepalive) {
      lines.push(`PersistentKeepalive = ${peer.persistentKeepalive}`);
    }
  }
  return lines.join("\n") + "\n";
}

/** Where and how to run it. */
export interface WireguardGoOptions extends WgSettings {
  /** Interface name; "wg0" where left out. */
  readonly name?: string;
  /** Tunnel addresses with prefix lengths. */
  readonly addresses: readonly string[];
  readonly mtu?: number;
  /** Whether routes for the peers' allowed IPs are set; true where left out. */
  readonly routes?: boolean;
}

/** A running wireguard-go. */
export interface WireguardGo {
  readonly process: LoggedProcess;
  readonly namespace: Namespace;
  readonly name: string;
}

/** Starts wireguard-go and configures interface, addresses and routes. */
export async function startWireguardGo(
  namespace: Namespace,
  options: WireguardGoOptions,
): Promise<WireguardGo> {
  const { name = "wg0", mtu = 1420, routes = true } = options;
  const process = namespace.spawn(`wireguard-go ${name}`, [
    await fetchWireguardGo(),
    "-f",
    name,
  ], {
    env: { WG_PROCESS_FOREGROUND: "1", LOG_LEVEL: "error" },
  });
  await waitFor(`${name} to answer wg`, async () => {
    const { code } = await namespace.run(["wg", "show", name], { exit: "any" });
    return code === 0;
  });
  await namespace.run(["wg", "setconf", name, "/dev/stdin"], {
    input: wgConf(options),
  });
  await namespace.ip(
    ...options.addresses.map((address) =>
      `address add ${address} dev ${name}${
        address.includes(":") ? " nodad" : ""
      }`
    ),
    `link set ${name} mtu ${mtu} up`,
  );
  if (routes) {
    const prefixes = options.peers.flatMap((peer) => peer.allowedIps);
    await namespace.ip(
      ...prefixes.map((prefix) => `route replace ${prefix} dev ${name}`),
    );
  }
  return { process, namespace, name };
}

/** One peer's line of `wg show NAME dump`. */
export interface WgPeerState {
  readonly publicKey: string;
  readonly endpoint: string;
  readonly allowedIps: readonly string[];
  /** Unix time in seconds; 0 where there was none. */
  readonly latestHandshake: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly persistentKeepalive: string;
}

/** What `wg show NAME dump` says about the peers, by public key. */
export async function wgShow(
  namespace: Namespace,
  name: string,
): Promise<Map<string, WgPeerState>> {
  const { stdout } = await namespace.run(["wg", "show", name, "dump"]);
  const peers = new Map<string, WgPeerState>();
  for (const line of stdout.trim().split("\n").slice(1)) {
    const field = line.split("\t");
    peers.set(field[0], {
      publicKey: field[0],
      endpoint: field[2],
      allowedIps: field[3].split(","),
      latestHandshake: Number(field[4]),
      receivedBytes: Number(field[5]),
      sentBytes: Number(field[6]),
      persistentKeepalive: field[7],
    });
  }
  return peers;
}
