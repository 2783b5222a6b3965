/** The worker that has the TUN interface of `tun2socks`. */
import { Batch } from "../core/columns/batch.ts";
import { TunStack, type TunStackConfig } from "../core/engine/tun_stack.ts";
import { ArenaPlan } from "../datapath/arena.ts";
import { DropTrace } from "../datapath/drop_trace.ts";
import { kernelSum } from "../datapath/kernel_sum.ts";
import { instantiateKernels } from "../datapath/kernels/kernels.ts";
import { runPumps } from "../datapath/pump_loop.ts";
import { RelayLink } from "../datapath/relay_link.ts";
import { TunPump } from "../datapath/tun_pump.ts";
import { attachTunTables, type TunState } from "../datapath/tun_state.ts";
import { openPlatform, type Platform } from "../io/platform.ts";
import type { OutsideShared } from "../io/ports.ts";
import { outsideSender } from "./outside_sender.ts";
import type { TunSetup } from "./pump.ts";
import { serveWorker } from "./worker_thread.ts";

/** All that the worker needs; survives structured cloning. */
export interface TunStackSetup {
  readonly state: TunState;
  readonly config: TunStackConfig;
  readonly mtu: number;
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

// Sizes of the arena's areas, in bytes.
const TUN_READ = 33 * 65_600;
const OUTSIDE_RECEIVE = 64 * 65_792;
const SPARE = 1 << 20;
const ARENA = TUN_READ + OUTSIDE_RECEIVE + SPARE + 8 * 4096;
const ROWS = 512;
/** Before each row: what the device and the translator write there. */
const HEADROOM = 64;

serveWorker(runStack);

function runStack(setup: TunStackSetup): void {
  const platform = openPlatform();
  const now = platform.openClock();
  const tables = attachTunTables(setup.state);
  const poller = platform.attachPoller({
    descriptor: setup.poller,
    wake: setup.wake,
    tun: setup.tun.descriptor,
  });
  const pump = openPump(platform, setup, { tables, poller });
  runPumps([pump], { poller, now, stop: tables.stop });
}

function openPump(
  platform: Platform,
  setup: TunStackSetup,
  { tables, poller }: {
    tables: ReturnType<typeof attachTunTables>;
    poller: ReturnType<Platform["attachPoller"]>;
  },
): TunPump {
  const { nat, redirects, counters, verdicts } = tables;
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
  const stack = new TunStack({
    config: setup.config,
    redirects,
    commands: relay,
    nat,
    sockets: port,
    counters: verdicts,
    sum,
  });
  return new TunPump({
    poller,
    tun: platform.attachWholeTun({
      ...setup.tun,
      mtu: setup.mtu,
      bytes,
      readArea: plan.take(TUN_READ),
      sum,
    }),
    stack,
    outside: outsideSender(platform, stack, { port, nat }),
    relay,
    counters,
    trace: new DropTrace(setup.trace ? tables.traceRing : undefined),
    batch: new Batch({
      bytes,
      capacity: ROWS,
      spareStart: spare.start,
      spareEnd: spare.end,
      headroom: HEADROOM,
      tailroom: 0,
    }),
  });
}
