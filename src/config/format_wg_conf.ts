/** Writes WireGuard's `.conf` files, with AmneziaWG's keys where they are set. */
import { formatPrefix, type Prefix } from "../core/wire/address.ts";
import type { AmneziaParameters } from "../core/wireguard/amnezia.ts";
import { amneziaEntries } from "./amnezia_config.ts";
import { formatHostPort } from "./endpoint.ts";
import { formatKey } from "./keys.ts";
import type { WgPeer } from "./wg_conf.ts";

/** What to write; keys that are undefined or empty are left out. */
export interface WgConfText {
  readonly interface: {
    /** Undefined for a peer that keeps its own key: a comment says so. */
    readonly privateKey: Uint8Array | undefined;
    readonly addresses?: readonly Prefix[];
    readonly dns?: readonly string[];
    readonly mtu?: number;
    readonly listenPort?: number;
    readonly amnezia?: AmneziaParameters;
  };
  readonly peers: readonly WgPeer[];
}

/** The text of a `.conf` file, a newline at its end. */
export function formatWireguardConf(conf: WgConfText): string {
  const { privateKey, addresses = [], dns = [], mtu, listenPort, amnezia } =
    conf.interface;
  const lines = ["[Interface]"];
  lines.push(
    privateKey === undefined
      ? "# PrivateKey = the one that belongs to the public key you gave"
      : `PrivateKey = ${formatKey(privateKey)}`,
  );
  if (addresses.length > 0) {
    lines.push(`Address = ${addresses.map(formatPrefix).join(", ")}`);
  }
  if (dns.length > 0) lines.push(`DNS = ${dns.join(", ")}`);
  if (mtu !== undefined) lines.push(`MTU = ${mtu}`);
  if (listenPort !== undefined) lines.push(`ListenPort = ${listenPort}`);
  for (
    const [key, text] of amnezia === undefined ? [] : amneziaEntries(amnezia)
  ) {
    lines.push(`${key} = ${text}`);
  }
  for (const peer of conf.peers) lines.push("", ...peerLines(peer));
  return lines.join("\n") + "\n";
}

function peerLines(peer: WgPeer): string[] {
  const { presharedKey, allowedIps, endpoint, persistentKeepalive } = peer;
  const lines = ["[Peer]", `PublicKey = ${formatKey(peer.publicKey)}`];
  if (presharedKey !== undefined) {
    lines.push(`PresharedKey = ${formatKey(presharedKey)}`);
  }
  if (allowedIps.length > 0) {
    lines.push(`AllowedIPs = ${allowedIps.map(formatPrefix).join(", ")}`);
  }
  if (endpoint !== undefined) {
    lines.push(`Endpoint = ${formatHostPort(endpoint)}`);
  }
  if (persistentKeepalive > 0) {
    lines.push(`PersistentKeepalive = ${persistentKeepalive}`);
  }
  return lines;
}
