/**
 * Composes a pump inside its worker: arena, kernels, crypto, devices, engine.
 * The setup comes from the control thread and is plain data.
 */
import { Batch } from "../core/columns/batch.ts";
import { Gateway, type GatewayConfig } from "../core/engine/gateway.ts";
import { PointToPoint } from "../core/engine/point_to_point.ts";
import type { MessageFormat } from "../core/wireguard/classify.ts";
import { ArenaPlan, EMPTY_AREA } from "../datapath/arena.ts";
import { ControlLink } from "../datapath/control_link.ts";
import { type AeadName, selectAead } from "../datapath/crypto/select_aead.ts";
import { Dispatcher, type OutsideSender } from "../datapath/dispatcher.ts";
import { instantiateKernels } from "../datapath/kernels/kernels.ts";
import { runOpenPump } from "../datapath/open_pump.ts";
import { Opener } from "../datapath/opener.ts";
import { RandomPool } from "../datapath/random_pool.ts";
import { runSealPump } from "../datapath/seal_pump.ts";
import { SEAL_TAILROOM, Sealer, sealHeadroom } from "../datapath/sealer.ts";
import {
  attachTables,
  type SharedState,
  type SharedTables,
  Thread,
} from "../datapath/shared_state.ts";
import { openPlatform, type Platform } from "../io/platform.ts";
import type {
  OutsidePort,
  OutsideShared,
  TunDevice,
  TunnelSocketAttachment,
  TunOffload,
} from "../io/ports.ts";

/** Which pump a worker runs. */
export type PumpRole = "open" | "seal";

/** What decides about packets. */
export type EngineSetup =
  | { readonly kind: "gateway"; readonly config: GatewayConfig }
  | { readonly kind: "point-to-point" };

/** All that a pump needs; survives structured cloning. */
export interface PumpSetup {
  readonly role: PumpRole;
  readonly shared: SharedState;
  readonly engine: EngineSetup;
  readonly format: MessageFormat;
  readonly crypto: AeadName;
  /** Largest inner packet, in bytes. */
  readonly mtu: number;
  /** A session older than this is not used, in ms. */
  readonly rejectAfterMs: number;
  /** Whether dropped packets are shown to the control thread. */
  readonly trace: boolean;
  /** Descriptors of the pump's poll set and of its wake. */
  readonly poller: number;
  readonly wake: number;
  readonly tun: TunSetup | undefined;
  readonly tunnel: Omit<TunnelSocketAttachment, "bytes" | "receiveArea">;
  readonly outside: OutsideShared | undefined;
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
const ROWS = 1024;

/** Runs a pump until the stop cell is set. Blocks the calling thread. */
export function runPump(setup: PumpSetup): void {
  const platform = openPlatform();
  const tables = attachTables(setup.shared);
  const parts = new PumpParts(platform, setup, tables);
  if (setup.role === "open") openPump(parts);
  else sealPump(parts);
}

/** What both pumps are made of. */
class PumpParts {
  readonly now: () => number;
  readonly kernels;
  readonly aead;
  readonly batch: Batch;
  readonly counters;
  readonly link: ControlLink;
  readonly socket;
  readonly tun: TunDevice | undefined;
  readonly outside: OutsidePort | undefined;
  readonly sealer: Sealer;

  constructor(
    readonly platform: Platform,
    readonly setup: PumpSetup,
    readonly tables: SharedTables,
  ) {
    const open = setup.role === "open";
    const thread = open ? Thread.OpenPump : Thread.SealPump;
    this.now = platform.openClock();
    this.kernels = instantiateKernels({ arenaBytes: ARENA });
    this.aead = selectAead(this.kernels, { force: setup.crypto }).aead;
    const { bytes, firstFree } = this.kernels;
    const plan = new ArenaPlan(firstFree, bytes.length);
    const headroom = sealHeadroom(setup.format);
    const spare = plan.take(SPARE);
    this.batch = new Batch({
      bytes,
      capacity: ROWS,
      spareStart: spare.start,
      spareEnd: spare.end,
      headroom,
      tailroom: SEAL_TAILROOM,
    });
    this.counters = tables.counters[thread];
    this.link = new ControlLink(
      tables.rings[thread],
      tables.peers,
      tables.bell,
      setup.trace,
    );
    this.socket = platform.attachTunnelSocket({
      ...setup.tunnel,
      bytes,
      receiveArea: open ? plan.take(TUNNEL_RECEIVE) : EMPTY_AREA,
    });
    this.tun = setup.tun && platform.attachTun({
      ...setup.tun,
      mtu: setup.mtu,
      kernels: this.kernels,
      bytes,
      readArea: open ? EMPTY_AREA : plan.take(TUN_READ),
      writeArea: open ? plan.take(TUN_WRITE) : EMPTY_AREA,
      headroom,
      tailroom: SEAL_TAILROOM - 15,
      padLimit: setup.mtu,
    });
    this.outside = setup.outside && platform.attachOutside({
      shared: setup.outside,
      bytes,
      receiveArea: open ? EMPTY_AREA : plan.take(OUTSIDE_RECEIVE),
    });
    this.sealer = new Sealer({
      bytes,
      sessions: tables.sessions,
      peers: tables.peers,
      format: setup.format,
      aead: this.aead,
      socket: this.socket,
      random: new RandomPool(),
      writer: thread,
      mtu: setup.mtu,
      rejectAfterMs: setup.rejectAfterMs,
    });
  }

  /** The gateway's engine, or undefined where the tunnel has none. */
  gateway(): Gateway | undefined {
    const { setup, tables, outside } = this;
    if (setup.engine.kind !== "gateway" || tables.nat === undefined) {
      return undefined;
    }
    return new Gateway({
      config: setup.engine.config,
      nat: tables.nat,
      allowedIps: tables.allowedIps,
      sockets: setup.role === "open" ? outside : undefined,
    });
  }

  dispatcher(outside: OutsideSender | undefined): Dispatcher {
    return new Dispatcher({
      sealer: this.sealer,
      socket: this.socket,
      link: this.link,
      counters: this.counters,
      tun: this.tun,
      outside,
      rows: this.setup.role === "open" ? "packed" : "roomy",
    });
  }
}

function openPump(parts: PumpParts): void {
  const { platform, setup, tables, outside, batch } = parts;
  const gateway = parts.gateway();
  const sender = gateway && outside && tables.nat &&
    outsideSender(platform, gateway, outside, tables.nat);
  const poller = platform.attachPoller({
    descriptor: setup.poller,
    wake: setup.wake,
    tunnel: setup.tunnel.descriptor,
  });
  runOpenPump({
    poller,
    socket: parts.socket,
    opener: new Opener({
      sessions: tables.sessions,
      peers: tables.peers,
      format: setup.format,
      aead: parts.aead,
      link: parts.link,
      rejectAfterMs: setup.rejectAfterMs,
    }),
    engine: gateway ?? new PointToPoint(tables.allowedIps),
    dispatcher: parts.dispatcher(sender),
    counters: parts.counters,
    commands: tables.rings[Thread.Control],
    batch,
    now: parts.now,
    stop: tables.stop,
  });
}

function sealPump(parts: PumpParts): void {
  const { platform, setup, tables, outside, batch } = parts;
  const gateway = parts.gateway();
  const poller = platform.attachPoller({
    descriptor: setup.poller,
    wake: setup.wake,
    tun: setup.tun?.descriptor,
  });
  runSealPump({
    poller,
    engine: gateway ?? new PointToPoint(tables.allowedIps),
    dispatcher: parts.dispatcher(undefined),
    counters: parts.counters,
    batch,
    tun: parts.tun,
    outside: gateway && outside && tables.nat &&
      { port: outside, nat: tables.nat, engine: gateway },
    now: parts.now,
    stop: tables.stop,
  });
}

function outsideSender(
  platform: Platform,
  gateway: Gateway,
  port: OutsidePort,
  nat: NonNullable<SharedTables["nat"]>,
): OutsideSender {
  return {
    port,
    nat,
    failed(batch, row, errno) {
      const failure = platform.sendFailure(errno);
      gateway.sendFailed(batch, row, failure, port.pathMtu(batch, row));
    },
  };
}
