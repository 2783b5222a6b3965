/**
 * Reads the lines of a `set` of WireGuard's configuration protocol into
 * changes. Nothing is applied here; a malformed line refuses the whole.
 */
import { parseEndpoint } from "../core/wire/address.ts";
import {
  type AmneziaParameters,
  parseHeaderRange,
} from "../core/wireguard/amnezia.ts";
import {
  AMNEZIA_PARAMETERS,
  amneziaEntries,
  amneziaKey,
  amneziaParameters,
  amneziaProblems,
} from "../config/amnezia_config.ts";
import { isZeroKey, parseHexKey } from "../config/keys.ts";
import { networkOf, readPrefix } from "../config/prefix.ts";
import {
  type AllowedIpChange,
  type UapiChanges,
  UapiErrno,
  UapiError,
  type UapiPeerChange,
} from "./uapi_port.ts";

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
type DeviceDraft = Mutable<UapiChanges> & {
  peerChanges: UapiPeerChange[];
};
type PeerDraft =
  & Mutable<Extract<UapiPeerChange, { kind: "put" | "update" }>>
  & {
    removed: boolean;
    allowedIpChanges: AllowedIpChange[];
  };

const AMNEZIA_NAMES = new Set<string>(AMNEZIA_PARAMETERS.map(amneziaKey));

/**
 * The changes that the lines ask for.
 * @param lines `key=value`, without the first line `set=1`.
 * @param currentAmnezia the parameters that hold until now.
 * @throws UapiError: Protocol for what is no such line, Invalid for a key or
 *         value that the protocol does not know.
 */
export function parseUapiSet(
  lines: readonly string[],
  currentAmnezia: () => AmneziaParameters | undefined = () => undefined,
): UapiChanges {
  const device: DeviceDraft = {
    privateKey: undefined,
    listenPort: undefined,
    fwmark: undefined,
    peers: "keep",
    amnezia: undefined,
    peerChanges: [],
  };
  const amnezia = new Map<string, string>();
  let peer: PeerDraft | undefined;
  for (const line of lines) {
    if (line === "") continue;
    const equals = line.indexOf("=");
    if (equals < 1) {
      throw new UapiError(UapiErrno.Protocol, "a line is key=value");
    }
    const key = line.slice(0, equals);
    const value = line.slice(equals + 1);
    if (key === "public_key") {
      if (peer !== undefined) device.peerChanges.push(finish(peer));
      peer = newPeer(hexKey(key, value));
    } else if (peer === undefined && AMNEZIA_NAMES.has(key)) {
      amnezia.set(key, value);
    } else if (peer === undefined) {
      readDeviceLine(device, key, value);
    } else {
      readPeerLine(peer, key, value);
    }
  }
  if (peer !== undefined) device.peerChanges.push(finish(peer));
  if (amnezia.size > 0) {
    device.amnezia = mergeAmnezia(currentAmnezia(), amnezia);
  }
  return device;
}

function readDeviceLine(device: DeviceDraft, key: string, value: string): void {
  switch (key) {
    case "private_key": {
      const privateKey = hexKey(key, value);
      device.privateKey = isZeroKey(privateKey) ? "none" : privateKey;
      break;
    }
    case "listen_port":
      device.listenPort = decimal(key, value, 0xffff);
      break;
    case "fwmark":
      device.fwmark = decimal(key, value, 0xffffffff);
      break;
    case "replace_peers":
      requireTrue(key, value);
      device.peers = "replace";
      break;
    default:
      throw invalid(key);
  }
}

/** The parameters of now with some of them changed, within their limits. */
function mergeAmnezia(
  current: AmneziaParameters | undefined,
  changes: ReadonlyMap<string, string>,
): AmneziaParameters {
  const section: Record<string, string | number> = {};
  for (
    const [name, text] of current === undefined ? [] : amneziaEntries(current)
  ) {
    section[amneziaKey(name)] = fromText(amneziaKey(name), text);
  }
  for (const [key, text] of changes) section[key] = fromText(key, text);
  const [problem] = amneziaProblems(section);
  if (problem !== undefined) {
    throw new UapiError(UapiErrno.Invalid, problem.message);
  }
  return amneziaParameters(section);
}

function fromText(key: string, text: string): string | number {
  if (key.startsWith("i")) return text;
  if (!key.startsWith("h")) return decimal(key, text, 0xffff);
  if (parseHeaderRange(text) === undefined) throw invalid(key);
  return text;
}

function readPeerLine(peer: PeerDraft, key: string, value: string): void {
  switch (key) {
    case "remove":
      requireTrue(key, value);
      peer.removed = true;
      break;
    case "update_only":
      requireTrue(key, value);
      peer.kind = "update";
      break;
    case "preshared_key": {
      const presharedKey = hexKey(key, value);
      peer.presharedKey = isZeroKey(presharedKey) ? "none" : presharedKey;
      break;
    }
    case "endpoint": {
      const endpoint = parseEndpoint(value);
      if (endpoint === undefined || endpoint.port === 0) throw invalid(key);
      peer.endpoint = endpoint;
      break;
    }
    case "persistent_keepalive_interval":
      peer.persistentKeepalive = decimal(key, value, 0xffff);
      break;
    case "replace_allowed_ips":
      requireTrue(key, value);
      peer.allowedIps = "replace";
      // What was added before this line goes with the rest.
      peer.allowedIpChanges = [];
      break;
    case "allowed_ip": {
      const kind = value.startsWith("-") ? "remove" : "add";
      const text = kind === "remove" ? value.slice(1) : value;
      const prefix = text.includes("/") ? readPrefix(text) : undefined;
      if (prefix === undefined) throw invalid(key);
      peer.allowedIpChanges.push({ kind, prefix: networkOf(prefix) });
      break;
    }
    case "protocol_version":
      if (value !== "1") throw invalid(key);
      break;
    default:
      throw invalid(key);
  }
}

function newPeer(publicKey: Uint8Array): PeerDraft {
  return {
    kind: "put",
    publicKey,
    presharedKey: undefined,
    endpoint: undefined,
    persistentKeepalive: undefined,
    allowedIps: "keep",
    allowedIpChanges: [],
    removed: false,
  };
}

function finish({ removed, ...peer }: PeerDraft): UapiPeerChange {
  return removed ? { kind: "remove", publicKey: peer.publicKey } : peer;
}

function hexKey(key: string, value: string): Uint8Array {
  const bytes = parseHexKey(value);
  if (bytes === undefined) throw invalid(key);
  return bytes;
}

function decimal(key: string, value: string, most: number): number {
  if (!/^\d{1,10}$/.test(value) || Number(value) > most) throw invalid(key);
  return Number(value);
}

function requireTrue(key: string, value: string): void {
  if (value !== "true") throw invalid(key);
}

/** Names the key alone: the value may be a secret. */
function invalid(key: string): UapiError {
  return new UapiError(UapiErrno.Invalid, `bad key or value: ${key}`);
}
