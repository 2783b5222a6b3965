/**
 * Composes the pumps of a worker: arena, kernels, crypto, devices, engine. The
 * setup comes from the control thread and is plain data.
 */
import { Batch } from "../core/columns/batch.ts";
import { Gateway, type GatewayConfig } from "../core/engine/gateway.ts";
import { PointToPoint } from "../core/engine/point_to_point.ts";
import type { MessageFormat } from "../core/wireguard/classify.ts";
import { REPLAY_WINDOW } from "../core/wireguard/replay.ts";
import { ArenaPlan, EMPTY_AREA } from "../datapath/arena.ts";
import { ControlLink } from "../datapath/control_link.ts";
import { type AeadName, selectAead } from "../datapath/crypto/select_aead.ts";
import { Dispatcher } from "../datapath/dispatcher.ts";
import { kernelSum } from "../datapath/kernel_sum.ts";
import {
  instantiateKernels,
  type Kernels,
} from "../datapath/kernels/kernels.ts";
import { OpenPump } from "../datapath/open_pump.ts";
import { Opener } from "../datapath/opener.ts";
import { runInTurns, runPumps } from "../datapath/pump_loop.ts";
import { RandomPool } from "../datapath/random_pool.ts";
import { RelayLink } from "../datapath/relay_link.ts";
import { SealPump } from "../datapath/seal_pump.ts";
import { SEAL_TAILROOM, Sealer, sealHeadroom } from "../datapath/sealer.ts";
import {
  attachTables,
  type SharedState,
  type SharedTables,
  Thread,
} from "../datapath/shared_state.ts";
import { Turnstile } from "../datapath/turnstile.ts";
import type {
  Area,
  OutsidePort,
  OutsideShared,
  Poller,
  TunDevice,
  TunnelSocketAttachment,
  TunOffload,
} from "../io/ports.ts";
import type { WorkerPlatform } from "../io/worker_platform.ts";
import { outsideSender } from "./outside_sender.ts";
import type { PumpRole } from "./worker_plan.ts";

/** What decides about packets. */
export type EngineSetup =
  | { readonly kind: "gateway"; readonly config: GatewayConfig }
  | { readonly kind: "point-to-point" };

/** All that a worker needs; survives structured cloning. */
export interface PumpSetup {
  readonly role: PumpRole;
  /** Workers of the same role, this one included. */
  readonly workers: number;
  /** Shared by them; undefined for the only one. */
  readonly turnstile: SharedArrayBuffer | undefined;
  readonly shared: SharedState;
  readonly engine: EngineSetup;
  /** What the gateways of all workers share, Gateway.stateBytes long. */
  readonly gatewayState: SharedArrayBuffer | undefined;
  readonly format: MessageFormat;
  readonly crypto: AeadName;
  /** Largest inner packet, in bytes. */
  readonly mtu: number;
  /** A session older than this is not used, in ms. */
  readonly rejectAfterMs: number;
  /** Whether dropped packets are shown to the control thread. */
  readonly trace: boolean;
  /** Descriptors of the worker's poll set and of its wake. */
  readonly poller: number;
  readonly wake: number;
  readonly tun: TunSetup | undefined;
  readonly tunnel: Omit<TunnelSocketAttachment, "bytes" | "receiveArea">;
  readonly outside: OutsideShared | undefined;
  /** Descriptor that wakes the TCP relay; undefined where there is none. */
  readonly relayWake: number | undefined;
}

/** The TUN device as a worker finds it. */
export interface TunSetup {
  readonly descriptor: number;
  readonly name: string;
  readonly offload: TunOffload;
}

// Sizes of the arena's areas, in bytes.
const TUNNEL_RECEIVE = 9 * 65_664;
const TUN_READ = 1 << 20;
const TUN_WRITE = 1 << 20;
const OUTSIDE_RECEIVE = 64 * 65_792;
const SPARE = 1 << 20;
const ARENA = TUNNEL_RECEIVE + TUN_READ + TUN_WRITE + OUTSIDE_RECEIVE + SPARE +
  8 * 4096;
/** Rows of a batch: eight full trains of 64 and what stages append. */
const MOST_ROWS = 1024;

/** What the translator writes before a datagram: an IPv6 and a UDP header. */
const IP_UDP_HEADERS = 48;

/** Runs a worker's pumps until the stop cell is set. Blocks the calling thread. */
export function runWorker(setup: PumpSetup, platform: WorkerPlatform): void {
  const parts = new PumpParts(platform, setup);
  const { poller, now, tables: { stop } } = parts;
  const loop = { poller, now, stop };
  switch (setup.role) {
    case "both":
      return runPumps([openPump(parts), sealPump(parts)], loop);
    case "open":
    case "seal": {
      const pump = setup.role === "open" ? openPump(parts) : sealPump(parts);
      return setup.turnstile === undefined
        ? runPumps([pump], loop)
        : runInTurns(pump, new Turnstile(setup.turnstile), loop);
    }
  }
}

/** What the pumps of one worker are made of. */
class PumpParts {
  readonly tables: SharedTables;
  readonly now: () => number;
  readonly rows: number;
  readonly batch: Batch;
  readonly aead;
  readonly counters;
  readonly link: ControlLink;
  readonly poller: Poller;
  readonly socket;
  readonly tun: TunDevice | undefined;
  readonly outside: OutsidePort | undefined;
  readonly sealer: Sealer;
  readonly gateway: Gateway | undefined;
  readonly relay: RelayLink | undefined;

  constructor(readonly platform: WorkerPlatform, readonly setup: PumpSetup) {
    const opens = setup.role !== "seal";
    const seals = setup.role !== "open";
    const thread = opens ? Thread.OpenPump : Thread.SealPump;
    this.tables = attachTables(setup.shared);
    this.now = platform.openClock();
    // What workers have in hand together must not overtake a peer's window.
    const share = Math.floor(REPLAY_WINDOW / setup.workers);
    this.rows = Math.min(MOST_ROWS, share);
    const kernels = instantiateKernels({ arenaBytes: ARENA });
    const { bytes, firstFree } = kernels;
    const plan = new ArenaPlan(firstFree, bytes.length);
    const take = (wanted: boolean, byteLength: number): Area =>
      wanted ? plan.take(byteLength) : EMPTY_AREA;
    const headroom = sealHeadroom(setup.format);
    const spare = plan.take(SPARE);
    this.batch = new Batch({
      bytes,
      capacity: this.rows,
      spareStart: spare.start,
      spareEnd: spare.end,
      headroom,
      tailroom: SEAL_TAILROOM,
    });
    this.aead = selectAead(kernels, {
      force: setup.crypto,
      library: platform.cipherLibrary,
    }).aead;
    this.counters = this.tables.counters[thread];
    this.link = new ControlLink(
      this.tables.rings[thread],
      this.tables.peers,
      this.tables.bell,
      setup.trace,
    );
    this.poller = platform.attachPoller({
      descriptor: setup.poller,
      wake: setup.wake,
      tunnel: opens ? setup.tunnel.descriptor : undefined,
      tun: seals ? setup.tun?.descriptor : undefined,
    });
    this.socket = platform.attachTunnelSocket({
      ...setup.tunnel,
      bytes,
      receiveArea: take(opens, TUNNEL_RECEIVE),
    });
    this.tun = setup.tun && platform.attachTun({
      ...setup.tun,
      mtu: setup.mtu,
      kernels,
      bytes,
      readArea: take(seals, TUN_READ),
      writeArea: take(opens, TUN_WRITE),
      headroom,
      tailroom: SEAL_TAILROOM - 15,
      padLimit: setup.mtu,
    });
    this.outside = setup.outside && platform.attachOutside({
      shared: setup.outside,
      bytes,
      receiveArea: take(seals, OUTSIDE_RECEIVE),
      headroom: (headroom + IP_UDP_HEADERS + 63) & ~63,
    });
    this.sealer = new Sealer({
      bytes,
      sessions: this.tables.sessions,
      peers: this.tables.peers,
      format: setup.format,
      aead: this.aead,
      socket: this.socket,
      random: new RandomPool(),
      writer: thread,
      mtu: setup.mtu,
      rejectAfterMs: setup.rejectAfterMs,
      rows: this.rows,
    });
    this.relay = opens ? this.#openRelay() : undefined;
    this.gateway = this.#openGateway(opens, kernels);
  }

  #openRelay(): RelayLink | undefined {
    const { relayWake } = this.setup;
    const { relayRing, redirects } = this.tables;
    if (
      relayWake === undefined || relayRing === undefined ||
      redirects === undefined
    ) return undefined;
    const wake = this.platform.attachWake(relayWake);
    return new RelayLink(relayRing, wake, redirects);
  }

  #openGateway(opens: boolean, kernels: Kernels): Gateway | undefined {
    const { engine, gatewayState } = this.setup;
    const { nat, allowedIps } = this.tables;
    if (engine.kind !== "gateway" || nat === undefined) return undefined;
    return new Gateway({
      config: engine.config,
      nat,
      allowedIps,
      sockets: opens ? this.outside : undefined,
      redirects: this.tables.redirects,
      relay: this.relay,
      state: gatewayState,
      sum: kernelSum(kernels),
    });
  }
}

function openPump(parts: PumpParts): OpenPump {
  const { setup, tables, gateway, outside, batch, counters, link } = parts;
  const { socket, sealer, tun, relay } = parts;
  const sender = gateway && outside && tables.nat &&
    outsideSender(parts.platform, gateway, { port: outside, nat: tables.nat });
  return new OpenPump({
    socket,
    opener: new Opener({
      sessions: tables.sessions,
      peers: tables.peers,
      format: setup.format,
      aead: parts.aead,
      link,
      rejectAfterMs: setup.rejectAfterMs,
      rows: parts.rows,
    }),
    engine: gateway ?? new PointToPoint(tables.allowedIps),
    dispatcher: new Dispatcher({
      sealer,
      socket,
      link,
      counters,
      tun,
      outside: sender,
      relay: relay && gateway && {
        link: relay,
        failed: (batch, row) => gateway.dialFailed(batch, row),
      },
      rows: "packed",
    }),
    counters,
    batch,
    commands: tables.rings[Thread.Control],
    nextTick: tables.nextTick,
  });
}

function sealPump(parts: PumpParts): SealPump {
  const { tables, gateway, outside, batch, counters, link } = parts;
  const { poller, socket, sealer, tun } = parts;
  return new SealPump({
    poller,
    engine: gateway ?? new PointToPoint(tables.allowedIps),
    sealer,
    dispatcher: new Dispatcher({
      sealer,
      socket,
      link,
      counters,
      tun: undefined,
      outside: undefined,
      rows: "sealed",
    }),
    counters,
    batch,
    tun,
    outside: gateway && outside && tables.nat &&
      { port: outside, nat: tables.nat, engine: gateway },
  });
}
