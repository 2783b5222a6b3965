/**
 * Tables of a chosen size, as the server makes them, filled: peers with a
 * session each, and mappings spread over them. Sockets are pretended.
 */
import { Batch } from "../../src/core/columns/batch.ts";
import { Gateway, gatewayConfig } from "../../src/core/engine/gateway.ts";
import type { NatTable } from "../../src/core/flow/nat.ts";
import { type Prefix, setMappedIpv4 } from "../../src/core/wire/address.ts";
import { Protocol } from "../../src/core/wire/protocol.ts";
import { SessionState } from "../../src/core/wireguard/session_table.ts";
import {
  attachTables,
  createSharedState,
  type SharedSizes,
  type SharedTables,
} from "../../src/datapath/shared_state.ts";
import { serverSizes } from "../../src/cli/server_setup.ts";
import type {
  PeerConfig,
  ServerConfig,
} from "../../src/config/server_config.ts";

/** How many of each. */
export interface ScaleSize {
  readonly peers: number;
  readonly mappings: number;
}

/** Filled tables and a gateway over them. */
export interface ScaledGateway {
  readonly size: ScaleSize;
  readonly tables: SharedTables;
  readonly nat: NatTable;
  readonly gateway: Gateway;
  /** Our index of each peer's session. */
  readonly receivers: Int32Array;
}

/** 10.64.0.0/10: room for four million clients. */
const CLIENTS = 0x0a40_0000;
const GATEWAY = CLIENTS;
/** fd66::/64; the peer's number is the last word. */
const CLIENTS6 = [0xfd66_0000 | 0, 0, 0, 0] as const;
/** The clock of it all, ms. */
export const NOW = 1_000_000;

/** A peer's IPv4 address as its value. */
export function clientAddress(peer: number): number {
  return (CLIENTS + 1 + peer) >>> 0;
}

/** A mapping's peer: mappings go round the peers. */
export function peerOf(mapping: number, size: ScaleSize): number {
  return mapping % size.peers;
}

/** A mapping's port at its client. */
export function clientPort(mapping: number, size: ScaleSize): number {
  return 1024 + Math.floor(mapping / size.peers) % 64_000;
}

/** The sizes that a server with so many peers and mappings gives its tables. */
export function sizesOf({ peers, mappings }: ScaleSize): SharedSizes {
  const address = { family: 4, words: new Uint32Array(4), length: 128 };
  const address6 = { ...address, family: 6 };
  const peer = {
    addresses: [address, address6] as readonly Prefix[],
    allowedIps: [] as readonly Prefix[],
  } as PeerConfig;
  return serverSizes({
    peers: new Array(peers).fill(peer),
    forward: { udp: { maxMappings: mappings } },
  } as unknown as ServerConfig);
}

/** Makes empty tables of the size. */
export function makeTables(size: ScaleSize): SharedTables {
  return attachTables(createSharedState(sizesOf(size)));
}

/** Gives each peer its row, its addresses and a session. @returns our indices. */
export function fillPeers(tables: SharedTables, count: number): Int32Array {
  const { peers, allowedIps, sessions } = tables;
  const receivers = new Int32Array(count);
  const words = new Int32Array(4);
  const keys = {
    remoteIndex: 1,
    initiator: false,
    now: NOW,
    sendKey: new Uint8Array(32),
    receiveKey: new Uint8Array(32),
  };
  for (let peer = 0; peer < count; peer++) {
    peers.add(peer);
    setMappedIpv4(words, 0, clientAddress(peer));
    peers.setEndpoint(peer, words, 0, 51820);
    const session = sessions.install(
      peer,
      Math.imul(peer, 0x9e37_79b1),
      SessionState.Confirmed,
      keys,
    );
    peers.setSessions(peer, session, -1, -1);
    receivers[peer] = sessions.receiverIndex[session];
    const inserted = allowedIps.insert(words, 128, peer) &&
      allowedIps.insert(clientWords6(peer), 128, peer);
    if (!inserted) throw new Error(`no room for peer ${peer}`);
  }
  return receivers;
}

/** A peer's IPv6 address. */
export function clientWords6(peer: number): Int32Array {
  const words = Int32Array.from(CLIENTS6);
  words[3] = peer + 1;
  return words;
}

/**
 * Opens mappings in the table alone. Beyond 64,000 their external ports repeat,
 * which packets by row do not notice; real ones differ in family or protocol.
 */
export function fillMappings(nat: NatTable, size: ScaleSize): void {
  const words = new Int32Array(4);
  for (let mapping = 0; mapping < size.mappings; mapping++) {
    const peer = peerOf(mapping, size);
    setMappedIpv4(words, 0, clientAddress(peer));
    nat.publish(
      nat.take(),
      Protocol.Udp,
      words,
      0,
      clientPort(mapping, size),
      peer,
      mapping,
      1024 + mapping % 64_000,
      NOW,
    );
  }
}

/** Makes and fills it all. */
export function scaledGateway(size: ScaleSize): ScaledGateway {
  const tables = makeTables(size);
  const nat = tables.nat!;
  const receivers = fillPeers(tables, size.peers);
  fillMappings(nat, size);
  const subnet: Prefix = {
    family: 4,
    words: Uint32Array.of(0, 0, 0xffff, CLIENTS),
    length: 96 + 10,
  };
  const gateway = new Gateway({
    config: gatewayConfig({ address4: GATEWAY >>> 0, subnets: [subnet] }),
    nat,
    allowedIps: tables.allowedIps,
    sockets: {
      open: () => -1,
      port: () => 0,
      retire: () => {},
    },
  });
  return { size, tables, nat, gateway, receivers };
}

/** A batch over an arena of its own, for rows of up to `rowBytes`. */
export function scaleBatch(
  rows: number,
  rowBytes: number,
): { readonly batch: Batch; readonly offsetOf: (row: number) => number } {
  const packets = rows * rowBytes;
  const bytes = new Uint8Array(packets + (1 << 16));
  const batch = new Batch({
    bytes,
    capacity: rows,
    spareStart: packets,
    spareEnd: bytes.length,
    headroom: 16,
    tailroom: 31,
  });
  return { batch, offsetOf: (row) => row * rowBytes + 64 };
}
