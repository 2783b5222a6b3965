/** The worker that has the TUN interface of `tun2socks`. */
import { TunStack, type TunStackConfig } from "../core/engine/tun_stack.ts";
import { DropTrace } from "../datapath/drop_trace.ts";
import { runPumps } from "../datapath/pump_loop.ts";
import { TunPump } from "../datapath/tun_pump.ts";
import {
  attachTunTables,
  type TunState,
  type TunTables,
} from "../datapath/tun_state.ts";
import type { Poller } from "../io/ports.ts";
import type { WorkerPlatform } from "../io/worker_platform.ts";
import { outsideSender } from "./outside_sender.ts";
import { openStackParts, type StackSetup } from "./stack_parts.ts";
import { serveWorker } from "./worker_thread.ts";

/** All that the worker needs; survives structured cloning. */
export interface TunStackSetup extends StackSetup {
  readonly state: TunState;
  readonly config: TunStackConfig;
}

const SIZES = { rows: 512, spare: 1 << 20, own: 0 };

serveWorker(runStack);

function runStack(setup: TunStackSetup, platform: WorkerPlatform): void {
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
  platform: WorkerPlatform,
  setup: TunStackSetup,
  { tables, poller }: { tables: TunTables; poller: Poller },
): TunPump {
  const { nat, redirects, counters, verdicts } = tables;
  const parts = openStackParts(platform, setup, { ...tables, sizes: SIZES });
  const { relay, port, sum } = parts;
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
    tun: parts.tun,
    stack,
    outside: outsideSender(platform, stack, { port, nat }),
    relay,
    counters,
    trace: new DropTrace(setup.trace ? tables.traceRing : undefined),
    batch: parts.batch,
  });
}
