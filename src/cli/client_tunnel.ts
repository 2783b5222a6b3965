/**
 * A packet tunnel of a split tunnel as the control thread holds it: its socket,
 * its handshakes and timers. What it carries passes through the stack worker.
 */
import type { DropReason } from "../core/columns/drop_reason.ts";
import { PLAIN_WIREGUARD } from "../core/wireguard/amnezia.ts";
import { Device } from "../core/wireguard/device.ts";
import { TrafficWriter } from "../core/wireguard/peer_table.ts";
import type { TimerConstants } from "../core/wireguard/timers.ts";
import type {
  PacketTunnelSetup,
  PacketTunnelStatus,
} from "../control/client_engine.ts";
import { type DesiredPeer, PeerSync } from "../control/peer_sync.ts";
import { TunnelControl } from "../control/tunnel_control.ts";
import { ArenaPlan, EMPTY_AREA } from "../datapath/arena.ts";
import type { TunnelTables } from "../datapath/client_state.ts";
import { ControlSender } from "../datapath/control_sender.ts";
import { nodePrimitives } from "../datapath/crypto/node_primitives.ts";
import { type AeadName, selectAead } from "../datapath/crypto/select_aead.ts";
import { instantiateKernels } from "../datapath/kernels/kernels.ts";
import { RandomPool } from "../datapath/random_pool.ts";
import { SEAL_TAILROOM, Sealer, sealHeadroom } from "../datapath/sealer.ts";
import type { Platform } from "../io/platform.ts";
import type { OpenedTunnelSocket, PassRule } from "../io/ports.ts";
import type { PostedTunnel } from "./client_stack_worker.ts";
import type { OwnSockets } from "./own_sockets.ts";

/** What a tunnel is made of. */
export interface ClientTunnelOptions {
  readonly platform: Platform;
  readonly setup: PacketTunnelSetup;
  /** Its slot of the shared state, and the tables there. */
  readonly slot: number;
  readonly tables: TunnelTables;
  readonly mark: number;
  readonly ownSockets: OwnSockets;
  readonly crypto: AeadName;
  readonly timers: TimerConstants;
  readonly now: () => number;
  readonly onHandshake: (result: "established" | "abandoned") => void;
  readonly onDrop: (reason: DropReason) => void;
}

/** Bytes of the control thread's own arena. */
const CONTROL_ARENA = 1 << 18;
const CONTROL_MESSAGE = 70_000;

/** See the module header. */
export class ClientTunnel implements Disposable {
  readonly slot: number;
  readonly #options: ClientTunnelOptions;
  readonly #socket: OpenedTunnelSocket;
  readonly #device: Device;
  readonly #control: TunnelControl;
  readonly #sync: PeerSync;
  #peers: readonly DesiredPeer[];
  /** The interface that messages leave by; undefined for what routes say. */
  #interfaceIndex: number | undefined;

  /**
   * Opens the socket; {@linkcode ClientTunnel.start} begins to talk.
   * @throws {PortInUseError | RangeError | Error} with nothing left behind.
   */
  constructor(options: ClientTunnelOptions) {
    const { platform, setup, tables, mark, timers, now } = options;
    this.#options = options;
    this.#peers = setup.peers;
    this.#interfaceIndex = this.#wayOut();
    this.slot = options.slot;
    using guard = new DisposableStack();
    this.#socket = guard.use(platform.openTunnelSocket({
      port: setup.listenPort ?? 0,
      source: "system",
      fwmark: mark === 0 ? undefined : mark,
      interfaceIndex: this.#interfaceIndex,
    }));
    this.#device = new Device({
      privateKey: setup.privateKey,
      peers: tables.peers,
      sessions: tables.sessions,
      allowedIps: tables.allowedIps,
      primitives: nodePrimitives,
      random: (bytes) => void crypto.getRandomValues(bytes),
      wallTime: () => Date.now(),
      amnezia: setup.amnezia ?? PLAIN_WIREGUARD,
      timers,
    });
    const device = this.#device;
    this.#control = new TunnelControl({
      device,
      peers: tables.peers,
      rings: [tables.ring],
      bell: tables.bell,
      sender: this.#openSender(),
      now,
      onPacket: () => {},
      onDrop: () => {},
      onOwnDrop: options.onDrop,
      onHandshake: (_peer, result) => options.onHandshake(result),
    });
    this.#sync = new PeerSync({
      device,
      now,
      removePeer: (row) => device.peers.remove(row),
      memory: () => undefined,
    });
    this.#sync.apply(setup.peers);
    guard.move();
  }

  /** What the stack worker is told. */
  get posted(): PostedTunnel {
    const { setup, slot, timers } = this.#options;
    const { descriptor, port, family } = this.#socket;
    const address = (family: 4 | 6) =>
      Int32Array.from(
        setup.addresses.find((one) => one.family === family)?.words ??
          [0, 0, 0, 0],
      );
    return {
      slot,
      descriptor,
      port,
      family,
      address4: address(4),
      address6: address(6),
      mtu: setup.mtu,
      format: this.#device.format,
      rejectAfterMs: timers.rejectAfterMs,
    };
  }

  /** Its socket and its peers' endpoints. */
  passRules(): PassRule[] {
    const { port } = this.#socket;
    return this.#peers.flatMap(({ endpoint }): PassRule[] =>
      endpoint === undefined ? [] : [{
        kind: "tunnel",
        localPort: port,
        remote: endpoint.words,
        remotePort: endpoint.port,
      }]
    );
  }

  /** Listens to the worker. */
  start(): void {
    this.#control.start();
    this.#control.drain();
  }

  /** Ends all talk; the socket stays until the worker has let go of it. */
  stop(): void {
    this.#control.stop();
  }

  /** Gives it other peers, or the same ones other settings. */
  updatePeers(peers: readonly DesiredPeer[]): void {
    this.#peers = peers;
    this.followRoutes();
    this.#sync.apply(peers);
    this.#control.drain();
  }

  /** Has messages leave as the host's routes say now, where the socket is bound to an interface. */
  followRoutes(): void {
    const index = this.#wayOut();
    if (index === this.#interfaceIndex) return;
    this.#interfaceIndex = index;
    this.#socket.leaveBy(index ?? 0);
  }

  /** Starts a handshake with every peer whose endpoint is known. */
  handshakeNow(): void {
    const { now } = this.#options;
    for (const row of this.#device.peers.rows()) {
      this.#device.handshake(row, now());
    }
    this.#control.drain();
  }

  /** How it stands, all peers together. */
  get status(): PacketTunnelStatus {
    const { peers } = this.#options.tables;
    const status = {
      lastHandshakeAt: 0,
      lastReceivedAt: 0,
      lastSentAt: 0,
      sentBytes: 0,
      receivedBytes: 0,
    };
    let endpoint: PacketTunnelStatus["endpoint"];
    const latest = (a: number, b: number) => Math.max(a, b);
    for (const row of this.#device.peers.rows()) {
      const { sentBytes, receivedBytes } = peers.traffic(row);
      status.sentBytes += sentBytes;
      status.receivedBytes += receivedBytes;
      const { lastHandshakeAt, lastReceivedAt, lastSentAt } = peers;
      status.lastHandshakeAt = latest(
        status.lastHandshakeAt,
        lastHandshakeAt[row],
      );
      status.lastReceivedAt = latest(
        status.lastReceivedAt,
        lastReceivedAt[row],
      );
      status.lastSentAt = latest(status.lastSentAt, lastSentAt[row]);
      const words = new Int32Array(4);
      const port = peers.readEndpoint(row, words, 0);
      if (port !== 0) endpoint ??= { words, port };
    }
    return { ...status, endpoint };
  }

  [Symbol.dispose](): void {
    this.#control.stop();
    this.#socket[Symbol.dispose]();
  }

  /** By the first peer's: they share the socket. */
  #wayOut(): number | undefined {
    const peer = this.#peers.find(({ endpoint }) => endpoint !== undefined);
    return peer?.endpoint &&
      this.#options.ownSockets.interfaceTowards(peer.endpoint.words);
  }

  #openSender(): ControlSender {
    const { platform, tables, setup, crypto, timers } = this.#options;
    const kernels = instantiateKernels({ arenaBytes: CONTROL_ARENA });
    const { bytes, firstFree } = kernels;
    const { descriptor, port, family, sources } = this.#socket;
    const socket = platform.attachTunnelSocket({
      descriptor,
      port,
      family,
      sources,
      bytes,
      receiveArea: EMPTY_AREA,
    });
    const { format } = this.#device;
    const headroom = sealHeadroom(format);
    const sealer = new Sealer({
      bytes,
      sessions: tables.sessions,
      peers: tables.peers,
      format,
      aead: selectAead(kernels, {
        force: crypto,
        library: platform.cipherLibrary,
      }).aead,
      socket,
      random: new RandomPool(),
      writer: TrafficWriter.Control,
      mtu: setup.mtu,
      rejectAfterMs: timers.rejectAfterMs,
      rows: 0,
    });
    const plan = new ArenaPlan(firstFree, bytes.length);
    const { start: at } = plan.take(CONTROL_MESSAGE + headroom + SEAL_TAILROOM);
    return new ControlSender({ sealer, socket, bytes, at, headroom });
  }
}
