/** What the worker of a TUN stack has whatever its engine is: arena, relay, sockets outside. */
import { Batch } from "../core/columns/batch.ts";
import type { Ring } from "../core/columns/ring.ts";
import type { RedirectTable } from "../core/flow/redirect_table.ts";
import type { Sum } from "../core/wire/checksum.ts";
import { ArenaPlan } from "../datapath/arena.ts";
import { kernelSum } from "../datapath/kernel_sum.ts";
import {
  instantiateKernels,
  type Kernels,
} from "../datapath/kernels/kernels.ts";
import { RelayLink } from "../datapath/relay_link.ts";
import type { WorkerPlatform } from "../io/worker_platform.ts";
import type { OutsidePort, OutsideShared, TunDevice } from "../io/ports.ts";
import type { TunSetup } from "./pump.ts";

/** What the control thread made for it; survives structured cloning. */
export interface StackSetup {
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

/** How large things are. */
export interface StackSizes {
  readonly rows: number;
  /** Bytes for what is appended to a batch. */
  readonly spare: number;
  /** Bytes of areas that the worker takes for itself. */
  readonly own: number;
}

/** The parts. */
export interface StackParts {
  readonly kernels: Kernels;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where areas of the worker's own are taken. */
  readonly plan: ArenaPlan;
  readonly sum: Sum;
  readonly relay: RelayLink;
  readonly port: OutsidePort;
  /** The interface, super-packets whole. */
  readonly tun: TunDevice;
  readonly batch: Batch;
}

const TUN_READ = 33 * 65_600;
const OUTSIDE_RECEIVE = 64 * 65_792;
/** What rounding areas up to pages may take. */
const ROUNDING = 16 * 4096;
/** Before each row: what the device and the translator write there. */
const HEADROOM = 64;

/** Opens the parts, for the worker's thread. */
export function openStackParts(
  platform: WorkerPlatform,
  setup: StackSetup,
  { relayRing, redirects, sizes }: {
    readonly relayRing: Ring;
    readonly redirects: RedirectTable;
    readonly sizes: StackSizes;
  },
): StackParts {
  const kernels = instantiateKernels({
    arenaBytes: TUN_READ + OUTSIDE_RECEIVE + ROUNDING + sizes.spare + sizes.own,
  });
  const { bytes, firstFree } = kernels;
  const plan = new ArenaPlan(firstFree, bytes.length);
  const sum = kernelSum(kernels);
  const spare = plan.take(sizes.spare);
  const wake = platform.attachWake(setup.relayWake);
  return {
    kernels,
    bytes,
    plan,
    sum,
    relay: new RelayLink(relayRing, wake, redirects),
    port: platform.attachOutside({
      shared: setup.outside,
      bytes,
      receiveArea: plan.take(OUTSIDE_RECEIVE),
      headroom: HEADROOM,
    }),
    tun: platform.attachWholeTun({
      ...setup.tun,
      mtu: setup.mtu,
      bytes,
      readArea: plan.take(TUN_READ),
      sum,
    }),
    batch: new Batch({
      bytes,
      capacity: sizes.rows,
      spareStart: spare.start,
      spareEnd: spare.end,
      headroom: HEADROOM,
      tailroom: 0,
    }),
  };
}
