/** The worker of a split tunnel that has the interface, the flows and the packet tunnels. */
import { Batch } from "../core/columns/batch.ts";
import { ClientMessage } from "../core/columns/client_message.ts";
import type { Ring } from "../core/columns/ring.ts";
import { type FlowListener, SplitTunnel } from "../core/engine/split_tunnel.ts";
import type { SplitTunnelConfig } from "../core/engine/split_tunnel_config.ts";
import type { MessageFormat } from "../core/wireguard/classify.ts";
import { ArenaPlan, EMPTY_AREA } from "../datapath/arena.ts";
import { ClientPump } from "../datapath/client_pump.ts";
import {
  attachClientTables,
  attachTunnelTables,
  type ClientState,
  type ClientTables,
} from "../datapath/client_state.ts";
import { type AeadName, selectAead } from "../datapath/crypto/select_aead.ts";
import { DropTrace } from "../datapath/drop_trace.ts";
import { kernelSum } from "../datapath/kernel_sum.ts";
import { instantiateKernels } from "../datapath/kernels/kernels.ts";
import {
  PacketTunnel,
  type PacketTunnelShared,
} from "../datapath/packet_tunnel.ts";
import { runPumps } from "../datapath/pump_loop.ts";
import { RandomPool } from "../datapath/random_pool.ts";
import { RelayLink } from "../datapath/relay_link.ts";
import type { AttachedTunnel } from "../datapath/tunnel_set.ts";
import { decodeRingJson } from "../datapath/ring_json.ts";
import { openPlatform, type Platform } from "../io/platform.ts";
import type { Area, OutsideShared, TunnelsPoller } from "../io/ports.ts";
import { outsideSender } from "./outside_sender.ts";
import type { TunSetup } from "./pump.ts";
import { serveWorker } from "./worker_thread.ts";

/** All that the worker needs; survives structured cloning. */
export interface ClientStackSetup {
  readonly state: ClientState;
  readonly config: SplitTunnelConfig;
  readonly outbounds: number;
  readonly mtu: number;
  readonly crypto: AeadName;
  readonly tun: TunSetup;
  readonly outside: OutsideShared;
  /** Descriptors of the worker's poll set and of its wake. */
  readonly poller: number;
  readonly wake: number;
  /** Descriptor that wakes the relay worker. */
  readonly relayWake: number;
  /** Whether dropped packets are shown to the control thread. */
  readonly trace: boolean;
}

/** A packet tunnel as it is posted while the worker runs: JSON. */
export interface PostedTunnel {
  readonly slot: number;
  readonly descriptor: number;
  readonly port: number;
  readonly family: 4 | 6;
  /** Address words; all zero where the tunnel has none. */
  readonly address4: Int32Array;
  readonly address6: Int32Array;
  readonly mtu: number;
  readonly format: MessageFormat;
  readonly rejectAfterMs: number;
}

// Sizes of the arena's areas, in bytes.
const TUN_READ = 33 * 65_600;
const TUN_WRITE = 1 << 20;
const TUNNEL_RECEIVE = 9 * 65_664;
const OUTSIDE_RECEIVE = 64 * 65_792;
const SEAL = 1 << 20;
const PIECES = 1 << 20;
const SPARE = 2 << 20;
const ARENA = TUN_READ + TUN_WRITE + TUNNEL_RECEIVE + OUTSIDE_RECEIVE + SEAL +
  PIECES + SPARE + 16 * 4096;
const ROWS = 1024;
/** Before each row: what the device and the translator write there. */
const HEADROOM = 64;

serveWorker(runStack);

function runStack(setup: ClientStackSetup): void {
  const platform = openPlatform();
  const now = platform.openClock();
  const tables = attachClientTables(setup.state);
  const poller = platform.attachPoller({
    descriptor: setup.poller,
    wake: setup.wake,
    tun: setup.tun.descriptor,
  });
  using pump = openPump(platform, setup, { tables, poller });
  runPumps([pump], { poller, now, stop: tables.stop });
}

function openPump(
  platform: Platform,
  setup: ClientStackSetup,
  { tables, poller }: { tables: ClientTables; poller: TunnelsPoller },
): ClientPump {
  const { nat, redirects, flows, counters, verdicts, news } = tables;
  const kernels = instantiateKernels({ arenaBytes: ARENA });
  const { bytes, firstFree } = kernels;
  const plan = new ArenaPlan(firstFree, bytes.length);
  const sum = kernelSum(kernels);
  const spare = plan.take(SPARE);
  const relay = new RelayLink(
    tables.relayRing,
    platform.attachWake(setup.relayWake),
    redirects,
  );
  const port = platform.attachOutside({
    shared: setup.outside,
    bytes,
    receiveArea: plan.take(OUTSIDE_RECEIVE),
    headroom: HEADROOM,
  });
  const teller = new RingListener(news, tables.bell);
  const engine = new SplitTunnel({
    config: setup.config,
    flows,
    outbounds: setup.outbounds,
    listener: teller,
    redirects,
    commands: relay,
    nat,
    sockets: port,
    counters: verdicts,
    sum,
  });
  const shared: PacketTunnelShared = {
    bytes,
    kernels,
    aead: selectAead(kernels, {
      force: setup.crypto,
      library: platform.cipherLibrary,
    }).aead,
    random: new RandomPool(),
    sealArea: plan.take(SEAL),
    spareArea: plan.take(PIECES),
    rows: ROWS,
  };
  const tun = { ...setup.tun, mtu: setup.mtu, bytes };
  return new ClientPump({
    poller,
    tun: platform.attachWholeTun({
      ...tun,
      readArea: plan.take(TUN_READ),
      sum,
    }),
    joinedTun: platform.attachTun({
      ...tun,
      kernels,
      readArea: EMPTY_AREA,
      writeArea: plan.take(TUN_WRITE),
      headroom: 0,
      tailroom: 0,
      padLimit: setup.mtu,
    }),
    engine,
    flows,
    outside: outsideSender(platform, engine, { port, nat }),
    relay,
    commands: tables.commands,
    openTunnel: tunnelOpener(platform, setup.state, {
      shared,
      tables,
      receiveArea: plan.take(TUNNEL_RECEIVE),
    }),
    detached: (slot) => teller.detached(slot),
    counters,
    trace: new DropTrace(setup.trace ? news : undefined),
    batch: new Batch({
      bytes,
      capacity: ROWS,
      spareStart: spare.start,
      spareEnd: spare.end,
      headroom: HEADROOM,
      tailroom: 0,
    }),
    outbounds: setup.outbounds,
  });
}

function tunnelOpener(
  platform: Platform,
  state: ClientState,
  { shared, tables, receiveArea }: {
    shared: PacketTunnelShared;
    tables: ClientTables;
    receiveArea: Area;
  },
): (bytes: Uint8Array, at: number, length: number) => AttachedTunnel {
  return (bytes, at, length) => {
    const posted = decodeRingJson<PostedTunnel>(bytes, at, length);
    const { slot, descriptor, port, family, mtu, format, rejectAfterMs } =
      posted;
    const own = attachTunnelTables(state, slot);
    const socket = platform.attachTunnelSocket({
      descriptor,
      port,
      family,
      sources: undefined,
      bytes: shared.bytes,
      receiveArea,
    });
    return {
      slot,
      tunnel: new PacketTunnel({
        tables: own,
        socket,
        format,
        mtu,
        rejectAfterMs,
        counters: tables.counters,
        shared,
      }),
      way: {
        address4: posted.address4,
        address6: posted.address6,
        mtu,
        allowedIps: own.allowedIps,
      },
    };
  };
}

const NO_BYTES = new Uint8Array(0);

/** Tells the control thread of flows, by a ring and a bell. */
class RingListener implements FlowListener {
  constructor(readonly ring: Ring, readonly bell: Int32Array) {}

  ask(
    flow: number,
    generation: number,
    batch: Batch,
    batchRow: number,
  ): boolean {
    const { bytes, offset, length } = batch;
    return this.#write(
      ClientMessage.Ask,
      flow,
      generation,
      bytes,
      offset[batchRow],
      length[batchRow],
    );
  }

  ended(flow: number, generation: number): void {
    this.#write(ClientMessage.Ended, flow, generation, NO_BYTES, 0, 0);
  }

  /** The worker has let go of a slot. @returns false where that can't be told now */
  detached(slot: number): boolean {
    return this.#write(ClientMessage.Detached, slot, 0, NO_BYTES, 0, 0);
  }

  dnsAnswer(
    flow: number,
    generation: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void {
    this.#write(ClientMessage.DnsAnswer, flow, generation, bytes, at, length);
  }

  #write(
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): boolean {
    if (!this.ring.tryWrite(kind, a, b, bytes, at, length)) return false;
    Atomics.add(this.bell, 0, 1);
    Atomics.notify(this.bell, 0);
    return true;
  }
}
