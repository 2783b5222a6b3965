/**
 * WireGuard's cross-platform configuration protocol
 * (https://www.wireguard.com/xplatform/), the part without a socket: a request
 * as text in, an answer as text out. `wg show`, `wg showconf`, `wg set` and
 * `wg setconf` speak it. AmneziaWG's parameters go by the keys that `awg` uses.
 *
 *     get=1 <empty line>      -> key=value lines, errno=0, empty line
 *     set=1 key=value ...     -> errno=0 or a positive number, empty line
 *
 * Keys are hexadecimal, `public_key` begins a peer. A `set` is read whole
 * before any of it is applied.
 */
import { formatEndpoint, formatPrefix } from "../core/wire/address.ts";
import { amneziaEntries, amneziaKey } from "../config/amnezia_config.ts";
import { formatHexKey } from "../config/keys.ts";
import {
  UapiErrno,
  UapiError,
  type UapiPeer,
  type UapiPort,
  type UapiState,
} from "./uapi_port.ts";
import { parseUapiSet } from "./uapi_set.ts";

/**
 * Answers one request.
 * @param request its lines without the empty line at the end.
 * @returns the whole answer, the empty line at its end included.
 */
export function handleUapi(request: string, port: UapiPort): string {
  try {
    const [operation, ...lines] = request.split("\n");
    if (operation === "get=1") {
      if (lines.some((line) => line !== "")) {
        throw new UapiError(UapiErrno.Protocol, "a get has no further lines");
      }
      return `${formatState(port.get())}errno=0\n\n`;
    }
    if (operation === "set=1") {
      port.set(parseUapiSet(lines, () => port.get().amnezia));
      return "errno=0\n\n";
    }
    throw new UapiError(UapiErrno.Protocol, "an operation is get=1 or set=1");
  } catch (error) {
    const errno = error instanceof UapiError ? error.errno : UapiErrno.Io;
    return `errno=${errno}\n\n`;
  }
}

/** A device's state as the lines of a get. */
export function formatState(state: UapiState): string {
  const lines: string[] = [];
  if (state.privateKey !== undefined) {
    lines.push(`private_key=${formatHexKey(state.privateKey)}`);
  }
  if (state.listenPort !== 0) lines.push(`listen_port=${state.listenPort}`);
  if (state.fwmark !== 0) lines.push(`fwmark=${state.fwmark}`);
  const amnezia = state.amnezia === undefined
    ? []
    : amneziaEntries(state.amnezia);
  for (const [name, text] of amnezia) lines.push(`${amneziaKey(name)}=${text}`);
  for (const peer of state.peers) pushPeer(lines, peer);
  return lines.map((line) => line + "\n").join("");
}

function pushPeer(lines: string[], peer: UapiPeer): void {
  lines.push(`public_key=${formatHexKey(peer.publicKey)}`);
  if (peer.presharedKey !== undefined) {
    lines.push(`preshared_key=${formatHexKey(peer.presharedKey)}`);
  }
  lines.push("protocol_version=1");
  if (peer.endpoint !== undefined) {
    const { words, port } = peer.endpoint;
    lines.push(`endpoint=${formatEndpoint(words, 0, port)}`);
  }
  const seconds = Math.floor(peer.lastHandshakeMs / 1000);
  const nanoseconds = Math.floor(peer.lastHandshakeMs % 1000 * 1e6);
  lines.push(
    `last_handshake_time_sec=${seconds}`,
    `last_handshake_time_nsec=${nanoseconds}`,
    `tx_bytes=${Math.floor(peer.txBytes)}`,
    `rx_bytes=${Math.floor(peer.rxBytes)}`,
    `persistent_keepalive_interval=${peer.persistentKeepalive}`,
  );
  for (const prefix of peer.allowedIps) {
    lines.push(`allowed_ip=${formatPrefix(prefix)}`);
  }
}
