/** The worker of a split tunnel that has the interface, the flows and the packet tunnels. */
import type { Batch } from "../core/columns/batch.ts";
import { ClientMessage } from "../core/columns/client_message.ts";
import type { Ring } from "../core/columns/ring.ts";
import { type FlowListener, SplitTunnel } from "../core/engine/split_tunnel.ts";
import type { SplitTunnelConfig } from "../core/engine/split_tunnel_config.ts";
import type { MessageFormat } from "../core/wireguard/classify.ts";
import { EMPTY_AREA } from "../datapath/arena.ts";
import { ClientPump } from "../datapath/client_pump.ts";
import {
  attachClientTables,
  attachTunnelTables,
  type ClientState,
  type ClientTables,
} from "../datapath/client_state.ts";
import { type AeadName, selectAead } from "../datapath/crypto/select_aead.ts";
import { DropTrace } from "../datapath/drop_trace.ts";
import {
  PacketTunnel,
  type PacketTunnelShared,
} from "../datapath/packet_tunnel.ts";
import { runPumps } from "../datapath/pump_loop.ts";
import { RandomPool } from "../datapath/random_pool.ts";
import type { AttachedTunnel } from "../datapath/tunnel_set.ts";
import { decodeRingJson } from "../datapath/ring_json.ts";
import type { Area, TunnelsPoller } from "../io/ports.ts";
import type { WorkerPlatform } from "../io/worker_platform.ts";
import { outsideSender } from "./outside_sender.ts";
import { openStackParts, type StackSetup } from "./stack_parts.ts";
import { serveWorker } from "./worker_thread.ts";

/** All that the worker needs; survives structured cloning. */
export interface ClientStackSetup extends StackSetup {
  readonly state: ClientState;
  readonly config: SplitTunnelConfig;
  readonly outbounds: number;
  readonly crypto: AeadName;
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
const TUN_WRITE = 1 << 20;
const TUNNEL_RECEIVE = 9 * 65_664;
const SEAL = 1 << 20;
const PIECES = 1 << 20;
const SIZES = {
  rows: 1024,
  spare: 2 << 20,
  own: TUN_WRITE + TUNNEL_RECEIVE + SEAL + PIECES,
};

serveWorker(runStack);

function runStack(setup: ClientStackSetup, platform: WorkerPlatform): void {
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
  platform: WorkerPlatform,
  setup: ClientStackSetup,
  { tables, poller }: { tables: ClientTables; poller: TunnelsPoller },
): ClientPump {
  const { nat, redirects, flows, counters, verdicts, news } = tables;
  const parts = openStackParts(platform, setup, { ...tables, sizes: SIZES });
  const { kernels, bytes, plan, sum, relay, port } = parts;
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
    rows: SIZES.rows,
  };
  return new ClientPump({
    poller,
    tun: parts.tun,
    joinedTun: platform.attachTun({
      ...setup.tun,
      mtu: setup.mtu,
      bytes,
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
    batch: parts.batch,
    outbounds: setup.outbounds,
  });
}

function tunnelOpener(
  platform: WorkerPlatform,
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
