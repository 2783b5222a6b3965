/**
 * Adds, finds and removes peers of a server.yaml. A client's private key goes
 * into its own `.conf` and nowhere else; the server keeps the public one.
 */
import { formatPrefix, type Prefix } from "../core/wire/address.ts";
import type { EditOptions } from "../config/edit_config.ts";
import { editServerConfig } from "../config/edit_server_config.ts";
import { withoutPeer, withPeer } from "../config/peer_text.ts";
import {
  formatKey,
  generatePresharedKey,
  generatePrivateKey,
  publicKeyOf,
  type RandomSource,
  sameKey,
} from "../config/keys.ts";
import type { PeerConfig, ServerConfig } from "../config/server_config.ts";
import { PEER_NAME_PATTERN } from "../config/server_schema.ts";
import { suggest } from "../config/suggest.ts";
import { allocateAddresses } from "./address_pool.ts";
import { PeerError } from "./peer_error.ts";

/** What is wanted of a new peer. */
export interface PeerRequest {
  readonly name: string;
  /** Whether a preshared key is made as well. */
  readonly presharedKey: "make" | "none";
  /** The peer's own public key, where it keeps its private key to itself. */
  readonly publicKey?: Uint8Array;
}

/** A peer that was added, with what only its own file may hold. */
export interface NewPeer {
  readonly name: string;
  readonly publicKey: Uint8Array;
  /** Undefined where the peer gave its own public key. */
  readonly privateKey: Uint8Array | undefined;
  readonly presharedKey: Uint8Array | undefined;
  readonly addresses: readonly Prefix[];
}

/** A new peer and the configuration that it was added to. */
export interface AddedPeer {
  readonly peer: NewPeer;
  readonly config: ServerConfig;
}

/** How a peer is added. */
export interface AddOptions extends EditOptions {
  /**
   * Runs before the file is written, with what will be added; where it throws,
   * nothing is written.
   */
  readonly prepare?: (added: AddedPeer) => void | Promise<void>;
}

/**
 * Adds a peer to the file: addresses, keys, an entry at the end of `peers`.
 * @throws PeerError for a bad or taken name, a taken key, a full pool;
 *         ConfigError where the file does not load.
 */
export function addPeer(
  path: string,
  request: PeerRequest,
  { prepare, ...options }: AddOptions = {},
): Promise<AddedPeer> {
  return editServerConfig(path, async ({ config, text }) => {
    const peer = planPeer(config, request);
    const result = { peer, config };
    await prepare?.(result);
    const { name, publicKey, presharedKey, addresses } = peer;
    const edited = withPeer(text, {
      name,
      publicKey: formatKey(publicKey),
      ...(presharedKey && { presharedKey: formatKey(presharedKey) }),
      addresses: addresses.map(formatPrefix),
    });
    return { text: edited, result };
  }, options);
}

/** A new peer for a configuration; nothing is written. */
export function planPeer(
  config: ServerConfig,
  request: PeerRequest,
  random?: RandomSource,
): NewPeer {
  const { name } = request;
  if (!PEER_NAME_PATTERN.test(name)) {
    throw new PeerError(
      `"${name}" is not a peer name`,
      "take 1 to 63 letters, digits and hyphens, no hyphen at either end, such as anna-phone",
    );
  }
  if (config.peers.some((peer) => sameName(peer.name, name))) {
    throw new PeerError(
      `there is a peer "${name}" already`,
      `take another name, or remove it first: sluice peer remove ${name}`,
    );
  }
  const privateKey = request.publicKey === undefined
    ? generatePrivateKey(random)
    : undefined;
  const publicKey = request.publicKey ?? publicKeyOf(privateKey!);
  refuseKnownKey(config, publicKey);
  const taken = config.peers.flatMap((peer) => [
    ...peer.addresses,
    ...peer.allowedIps,
  ]);
  return {
    name,
    publicKey,
    privateKey,
    presharedKey: request.presharedKey === "make"
      ? generatePresharedKey(random)
      : undefined,
    addresses: allocateAddresses(config.interface.addresses, taken),
  };
}

/**
 * Removes a peer from the file.
 * @throws PeerError where there is none of that name.
 */
export function removePeer(
  path: string,
  name: string,
  options: EditOptions = {},
): Promise<PeerConfig> {
  return editServerConfig(path, ({ config, text }) => {
    const result = findPeer(config, name);
    return { text: withoutPeer(text, result.name) ?? text, result };
  }, options);
}

/**
 * The peer of that name; letter case does not matter.
 * @throws PeerError where there is none, with the nearest name.
 */
export function findPeer(config: ServerConfig, name: string): PeerConfig {
  const peer = config.peers.find((candidate) => sameName(candidate.name, name));
  if (peer !== undefined) return peer;
  const near = suggest(name, config.peers.map((candidate) => candidate.name));
  throw new PeerError(
    `there is no peer "${name}"`,
    near === undefined
      ? "sluice peer list shows them all"
      : `did you mean ${near}?`,
  );
}

function refuseKnownKey(config: ServerConfig, publicKey: Uint8Array): void {
  if (sameKey(config.interface.publicKey, publicKey)) {
    throw new PeerError(
      "that is the gateway's own public key",
      "each end needs a key of its own: sluice genkey | sluice pubkey",
    );
  }
  const owner = config.peers.find((peer) => sameKey(peer.publicKey, publicKey));
  if (owner !== undefined) {
    throw new PeerError(`that public key is peer "${owner.name}" already`);
  }
}

function sameName(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase();
}
