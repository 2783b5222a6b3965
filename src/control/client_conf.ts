/** The `.conf` file that a client gets: what `wg-quick` and the apps import. */
import { formatAddress, parsePrefix } from "../core/wire/address.ts";
import type { HostPort } from "../config/endpoint.ts";
import { formatWireguardConf } from "../config/format_wg_conf.ts";
import type { ServerConfig } from "../config/server_config.ts";
import type { NewPeer } from "./peers.ts";

/** Seconds; keeps a NAT in front of the client open. */
const KEEPALIVE = 25;

/**
 * The client's file: everything through the tunnel, DNS by the gateway.
 * @param endpoint where the client reaches the gateway.
 */
export function clientConf(
  config: ServerConfig,
  peer: NewPeer,
  endpoint: HostPort,
): string {
  const everything = ["0.0.0.0/0", "::/0"].flatMap((text) =>
    parsePrefix(text) ?? []
  );
  return formatWireguardConf({
    interface: {
      privateKey: peer.privateKey,
      addresses: peer.addresses,
      dns: dnsServers(config),
      mtu: config.interface.mtu,
      ...(config.interface.amnezia === undefined
        ? {}
        : { amnezia: config.interface.amnezia }),
    },
    peers: [{
      publicKey: config.interface.publicKey,
      presharedKey: peer.presharedKey,
      allowedIps: everything,
      endpoint,
      persistentKeepalive: KEEPALIVE,
    }],
  });
}

function dnsServers({ interface: tunnel, dns }: ServerConfig): string[] {
  return dns.listen
    ? tunnel.addresses.map(({ words }) => formatAddress(words))
    : dns.upstreams.map(({ words }) => formatAddress(words));
}
