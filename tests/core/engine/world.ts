/** A gateway with both its workers over one set of tables, and pretended sockets. */
import { Batch } from "../../../src/core/columns/batch.ts";
import {
  type DropReason,
  dropReasonText,
} from "../../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import {
  Gateway,
  type GatewayConfig,
  gatewayConfig,
  type OutsideError,
} from "../../../src/core/engine/gateway.ts";
import {
  NatTable,
  OpenFailure,
  type OutsideSockets,
} from "../../../src/core/flow/nat.ts";
import {
  RedirectTable,
  type RedirectTableOptions,
} from "../../../src/core/flow/redirect_table.ts";
import type { RelayCommands } from "../../../src/core/engine/tcp_relay.ts";
import {
  TCP_RELAY_DEFAULTS,
  type TcpRelayConfig,
} from "../../../src/core/engine/tcp_relay_config.ts";
import { parsePrefix } from "../../../src/core/wire/address.ts";
import { AllowedIps } from "../../../src/core/wireguard/allowed_ips.ts";
import { addressWords } from "../flow/packets.ts";

/** Sockets as a kernel gives them: a port once per protocol and family. */
export class FakeSockets implements OutsideSockets {
  readonly opened: {
    protocol: number;
    family: number;
    port: number;
    row: number;
  }[] = [];
  readonly live = new Map<number, string>();
  readonly taken = new Set<string>();
  readonly retired: { row: number; handle: number }[] = [];
  /** What to answer instead of opening. */
  failure = 0;
  /** Ports below this are not permitted. */
  firstPermitted = 0;

  open(protocol: number, family: 4 | 6, port: number, row: number): number {
    if (this.failure !== 0) return this.failure;
    if (port < this.firstPermitted) return OpenFailure.NotPermitted;
    const name = `${protocol}/${family}/${port}`;
    if (this.taken.has(name)) return OpenFailure.InUse;
    this.taken.add(name);
    const handle = this.opened.length + 10;
    this.opened.push({ protocol, family, port, row });
    this.live.set(handle, name);
    return handle;
  }

  port(handle: number): number {
    return this.opened[handle - 10].port;
  }

  retire(row: number, handle: number): void {
    this.retired.push({ row, handle });
  }

  /** What the seal worker does with retired sockets. */
  closeRetired(nat: NatTable): void {
    for (const { row, handle } of this.retired.splice(0)) {
      this.taken.delete(this.live.get(handle) ?? "");
      this.live.delete(handle);
      nat.markFree(row);
    }
  }
}

/** Where the relay listens in a test world, and its limits. */
export const RELAY: TcpRelayConfig = {
  ...TCP_RELAY_DEFAULTS,
  ipv4: { address: parsePrefix("198.18.254.1/24")!, port: 4433 },
  ipv6: { address: parsePrefix("fd73:6c75:6963:6500::1/120")!, port: 4434 },
};

/** What the engine tells the relay, besides its verdicts. */
export class FakeRelay implements RelayCommands {
  readonly abandoned: { row: number; generation: number }[] = [];
  flushes = 0;
  /** Whether there is no room for more. */
  isFull = false;

  abandon(row: number, generation: number): boolean {
    if (this.isFull) return false;
    this.abandoned.push({ row, generation });
    return true;
  }

  flush(): void {
    this.flushes++;
  }
}

/** A decided row, copied out of its batch. */
export interface Seen {
  readonly verdict: keyof typeof Verdict;
  /** The peer or NAT row; for drops the reason's text. */
  readonly target: number | string;
  readonly bytes: number[];
  readonly remote: number[];
  readonly remotePort: number;
  readonly hopLimit: number;
  readonly dontFragment: number;
}

/** What a test world is made of. */
export interface WorldOptions {
  readonly config?: Partial<GatewayConfig>;
  /** Prefixes of peer 0, 1, ...; by default 10.8.0.2, .3, .4 and their IPv6 twins. */
  readonly peers?: readonly (readonly string[])[];
  readonly capacity?: number;
  readonly spare?: number;
  /** The redirect table's size, where `config.tcp` is `proxy`. */
  readonly redirects?: Partial<RedirectTableOptions>;
}

const HEADROOM = 96;
const ROW_ROOM = 66_000;

export class World {
  readonly sockets = new FakeSockets();
  readonly nat: NatTable;
  readonly open: Gateway;
  readonly seal: Gateway;
  /** Another thread's gateway that takes turns with `open`. */
  readonly twin: Gateway;
  readonly allowedIps: AllowedIps;
  readonly relay = new FakeRelay();
  /** The seal worker's and the relay's view of the redirect table. */
  readonly redirects: RedirectTable;
  readonly batch: Batch;
  now = 1_000_000;

  constructor(options: WorldOptions = {}) {
    const size = { capacity: options.capacity ?? 256, peers: 16, remotes: 256 };
    const natBuffer = new SharedArrayBuffer(NatTable.byteLength(size));
    this.nat = new NatTable(natBuffer, size);
    const nodes = { nodes: 256 };
    this.allowedIps = new AllowedIps(
      new ArrayBuffer(AllowedIps.byteLength(nodes)),
      nodes,
    );
    const peers = options.peers ??
      [2, 3, 4].map((n) => [`10.8.0.${n}/32`, `fd00:8::${n}/128`]);
    peers.forEach((prefixes, peer) =>
      prefixes.forEach((text) => this.allow(text, peer))
    );
    const config = gatewayConfig({
      address4: 0x0a080001,
      address6: addressWords("fd00:8:0:0:0:0:0:1"),
      subnets: [parsePrefix("10.8.0.0/24")!, parsePrefix("fd00:8::/64")!],
      fragmentSlots: 8,
      fragmentSlotsPerPeer: 4,
      relay: RELAY,
      ...options.config,
    });
    const { nat, allowedIps, sockets, relay } = this;
    const redirectSize = {
      capacity: 64,
      peers: 16,
      generations: 64,
      ...options.redirects,
    };
    const redirectBuffer = new SharedArrayBuffer(
      RedirectTable.byteLength(redirectSize),
    );
    const redirects = () => new RedirectTable(redirectBuffer, redirectSize);
    this.redirects = redirects();
    const state = new SharedArrayBuffer(Gateway.stateBytes(config));
    this.open = new Gateway({
      config,
      nat,
      allowedIps,
      sockets,
      redirects: redirects(),
      relay,
      state,
    });
    const twinNat = new NatTable(natBuffer, size);
    this.twin = new Gateway({
      config,
      nat: twinNat,
      allowedIps,
      sockets,
      redirects: redirects(),
      relay,
      state,
    });
    this.seal = new Gateway({
      config,
      nat: new NatTable(natBuffer, size),
      allowedIps,
      redirects: this.redirects,
      state,
    });
    const spare = options.spare ?? 400_000;
    const spareStart = 16 * ROW_ROOM;
    this.batch = new Batch({
      bytes: new Uint8Array(spareStart + spare),
      capacity: 512,
      spareStart,
      spareEnd: spareStart + spare,
      headroom: 64,
      tailroom: 32,
    });
  }

  allow(text: string, peer: number): void {
    const { words, length, family } = parsePrefix(text)!;
    this.allowedIps.insert(words, family === 4 ? length + 96 : length, peer);
  }

  /** Fills the batch with packets of one peer (-1: of the host). */
  load(peer: number, packets: readonly Uint8Array[]): void {
    const { batch } = this;
    batch.clear();
    packets.forEach((packet, n) => {
      const at = n * ROW_ROOM + HEADROOM;
      batch.bytes.set(packet, at);
      batch.push(at, packet.length, peer);
    });
  }

  /** Sends packets from a peer and shows every row, appended ones included. */
  fromTunnel(peer: number, ...packets: Uint8Array[]): Seen[] {
    return this.fromTunnelBy(this.open, peer, ...packets);
  }

  /** The same by one of the gateways that take turns. */
  fromTunnelBy(
    gateway: Gateway,
    peer: number,
    ...packets: Uint8Array[]
  ): Seen[] {
    this.load(peer, packets);
    gateway.fromTunnel(this.batch, this.now);
    return this.seen();
  }

  fromHost(...packets: Uint8Array[]): Seen[] {
    this.load(-1, packets);
    this.seal.fromHost(this.batch, this.now);
    return this.seen();
  }

  /** Datagrams that arrive at a mapping's socket. */
  fromOutside(
    mapping: number,
    from: { address: string; port?: number; hopLimit?: number },
    ...payloads: (readonly number[])[]
  ): Seen[] {
    this.load(-1, payloads.map((payload) => Uint8Array.from(payload)));
    const { batch } = this;
    for (let row = 0; row < batch.count; row++) {
      batch.target[row] = mapping;
      batch.remote.set(addressWords(from.address), row * 4);
      batch.remotePort[row] = from.port ?? 0;
      batch.hopLimit[row] = from.hopLimit ?? 0;
    }
    this.seal.fromOutside(batch, this.now);
    return this.seen();
  }

  /** A report about what a mapping has sent; `payload` lies in the arena. */
  outsideError(
    mapping: number,
    error: Partial<Omit<OutsideError, "offender" | "destination">> & {
      offender?: string;
      destination: string;
      payload?: readonly number[];
    },
  ): Seen[] {
    const { batch } = this;
    batch.clear();
    const payload = error.payload ?? [];
    batch.bytes.set(payload, HEADROOM);
    const none = new Int32Array(4);
    this.seal.fromOutsideError(batch, mapping, {
      type: error.type ?? 3,
      code: error.code ?? 3,
      extra: error.extra ?? 0,
      family: error.family ?? 4,
      offender: error.offender === undefined
        ? none
        : addressWords(error.offender),
      destination: addressWords(error.destination),
      destinationPort: error.destinationPort ?? 0,
      payloadAt: HEADROOM,
      payloadLength: payload.length,
    }, this.now);
    return this.seen();
  }

  /** All rows of the batch. */
  seen(): Seen[] {
    const { batch } = this;
    return Array.from({ length: batch.count }, (_, row) => {
      const verdict = nameOf(batch.verdict[row]);
      const target = batch.target[row];
      const at = batch.offset[row];
      return {
        verdict,
        target: verdict === "Drop"
          ? dropReasonText(target as DropReason)
          : target,
        bytes: [...batch.bytes.subarray(at, at + batch.length[row])],
        remote: [...batch.remote.subarray(row * 4, row * 4 + 4)],
        remotePort: batch.remotePort[row],
        hopLimit: batch.hopLimit[row],
        dontFragment: batch.dontFragment[row],
      };
    });
  }

  /** Lets time pass with a tick each second, retired sockets closed. */
  pass(ms: number): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.now = Math.min(end, this.now + 1000);
      this.open.tick(this.now);
      this.sockets.closeRetired(this.nat);
    }
    this.open.tick(this.now);
  }
}

function nameOf(verdict: number): keyof typeof Verdict {
  const found = Object.entries(Verdict).find(([, value]) => value === verdict);
  if (found === undefined) throw new TypeError(`no verdict ${verdict}`);
  return found[0] as keyof typeof Verdict;
}
