/**
 * Watches the host's network, for the control thread.
 *
 * One event stands for all news, and one wait for it lies on a thread of the
 * runtime's pool. The system calls back on threads of its own with a context as
 * the first argument: the callback is SetEvent itself and the context the event,
 * so that no thread of the system ever waits for ours. What the news are is
 * looked up then, by comparing with what there was before.
 *
 * There is a look every few seconds as well: at the clocks, for sleep that
 * nobody told of, and at the network.
 */
import {
  type Iphlpapi,
  openIphlpapi,
} from "../../../../ffi/windows/iphlpapi.ts";
import {
  type Kernel32,
  openKernel32,
  WAIT,
} from "../../../../ffi/windows/kernel32.ts";
import {
  DEVICE_NOTIFY_CALLBACK,
  openPowrprof,
  type Powrprof,
} from "../../../../ffi/windows/powrprof.ts";
import { deviceNotifySubscribeParameters } from "../../../../ffi/windows/layouts/advapi32.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import { checkWin32, Win32 } from "../../../../ffi/windows/win32_error.ts";
import type {
  NetworkChange,
  NetworkMonitor,
  NetworkMonitorOptions,
} from "../../ports.ts";
import {
  compareNetworks,
  type NetworkSnapshot,
  withoutInterfaces,
} from "../network_snapshot.ts";
import { type SleepClocks, SleepMeter } from "../sleep_meter.ts";
import { type IpTables, openIpTables } from "./ip_helper.ts";

const AF_UNSPEC = 0;
const AUTO_RESET = 0;
const QUIET_MS = 100;
const BURST_MS = 1000;
const LOOK_MS = 5000;
const UNITS_PER_MS = 10_000;

/** What the monitor works with. */
export interface WindowsNetworkMonitorOptions extends NetworkMonitorOptions {
  readonly tables: IpTables;
  /** In ms, through sleep. */
  readonly clock: () => number;
  /** So often there is a look without news; 5 s by default. */
  readonly lookMs?: number;
}

/**
 * @param clock in ms, through sleep.
 * @throws {Win32Error | MissingLibraryError} where the system lacks what it takes.
 */
export function openNetworkMonitor(
  clock: () => number,
  options: NetworkMonitorOptions,
): NetworkMonitor {
  return networkMonitorOf({ ...options, tables: openIpTables(), clock });
}

/** A monitor over parts that are given. */
export function networkMonitorOf(
  options: WindowsNetworkMonitorOptions,
): NetworkMonitor {
  return new WindowsNetworkMonitor(options);
}

class WindowsNetworkMonitor implements NetworkMonitor {
  readonly #options: WindowsNetworkMonitorOptions;
  readonly #news = new NewsBell();
  readonly #meter: SleepMeter;
  readonly #ended: Promise<void>;
  #snapshot: NetworkSnapshot;
  #isOver = false;
  #told = 0;
  #idle = 0;

  constructor(options: WindowsNetworkMonitorOptions) {
    this.#options = options;
    try {
      this.#meter = new SleepMeter(this.#clocks());
      this.#snapshot = this.#look();
    } catch (error) {
      void this.#news[Symbol.asyncDispose]();
      throw error;
    }
    this.#ended = this.#run().catch((error) => options.onFailure(error));
  }

  check(): void {
    this.#news.ring();
  }

  counters(): { told: number; idle: number } {
    return { told: this.#told, idle: this.#idle };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#news.ring();
    await this.#ended;
    await this.#news[Symbol.asyncDispose]();
    this.#options.tables[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    const { lookMs = LOOK_MS } = this.#options;
    for (;;) {
      const isNews = await this.#news.wait(lookMs);
      if (this.#isOver) return;
      if (isNews) await this.#burst();
      if (this.#isOver) return;
      this.#tell(isNews);
    }
  }

  /** Waits until nothing more comes, but not for ever. */
  async #burst(): Promise<void> {
    const { quietMs = QUIET_MS, burstMs = BURST_MS, clock } = this.#options;
    const end = clock() + burstMs;
    for (;;) {
      const left = Math.min(quietMs, end - clock());
      if (left <= 0 || this.#isOver) return;
      if (!await this.#news.wait(Math.ceil(left))) return;
    }
  }

  #tell(isNews: boolean): void {
    const after = this.#look();
    const sleptMs = this.#meter.slept(this.#clocks());
    const changes: NetworkChange[] = [
      ...(sleptMs > 0
        ? [{ kind: "resume", cause: "sleep", sleptMs } as const]
        : []),
      ...compareNetworks(this.#snapshot, after),
    ];
    this.#snapshot = after;
    if (changes.length > 0) {
      this.#told++;
      this.#options.onChange(changes);
    } else if (isNews) this.#idle++;
  }

  #look(): NetworkSnapshot {
    const { tables, ignored } = this.#options;
    const snapshot = {
      links: tables.links().filter(({ isLoopback }) => !isLoopback),
      addresses: tables.addresses(),
      routes: tables.routes()
        .filter(({ prefixLength }) => prefixLength === 0)
        .map((route) => ({ ...route, metric: route.weight })),
    };
    return withoutInterfaces(snapshot, ignored ?? (() => false));
  }

  #clocks(): SleepClocks {
    return { boot: this.#options.clock(), awake: this.#news.awake() };
  }
}

/** An event that the system sets when there are news. */
class NewsBell implements AsyncDisposable {
  readonly #kernel32: Kernel32;
  readonly #iphlpapi: Iphlpapi;
  readonly #powrprof: Powrprof;
  readonly #resources: DisposableStack;
  readonly #event: number;
  /** What the system calls with the event as its first argument. */
  readonly #setEvent: Deno.PointerValue;
  readonly #registrations: bigint[] = [];
  readonly #parameters = new Uint8Array(deviceNotifySubscribeParameters.size);
  #power: bigint | undefined;

  constructor() {
    using guard = new DisposableStack();
    this.#kernel32 = guard.use(openKernel32());
    this.#iphlpapi = guard.use(openIphlpapi());
    this.#powrprof = guard.use(openPowrprof());
    const { call } = this.#kernel32;
    this.#event = call.CreateEventW(null, AUTO_RESET, 0, null);
    if (this.#event === 0) throw this.#kernel32.error("CreateEventW");
    guard.defer(() => void call.CloseHandle(this.#event));
    this.#setEvent = call.GetProcAddress(
      call.GetModuleHandleW(wideText("kernel32.dll")),
      new TextEncoder().encode("SetEvent\0"),
    );
    this.#resources = guard.move();
    try {
      this.#subscribe();
      this.#subscribeToPower();
    } catch (error) {
      // The event stays until the system calls with it no more.
      void this[Symbol.asyncDispose]();
      throw error;
    }
  }

  ring(): void {
    this.#kernel32.call.SetEvent(this.#event);
  }

  /** @returns whether there are news. */
  async wait(timeoutMs: number): Promise<boolean> {
    const { call } = this.#kernel32;
    const result = await call.WaitForSingleObjectElsewhere(
      this.#event,
      timeoutMs,
    );
    if (result === WAIT.FAILED) {
      throw new Error("WaitForSingleObject: failed");
    }
    return result !== WAIT.TIMEOUT;
  }

  /** Milliseconds since the start of the system, sleep left out. */
  awake(): number {
    const time = new BigUint64Array(1);
    this.#kernel32.call.QueryUnbiasedInterruptTime(time);
    return Number(time[0]) / UNITS_PER_MS;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { CancelMibChangeNotify2 } = this.#iphlpapi.call;
    for (const registration of this.#registrations) {
      await CancelMibChangeNotify2(registration);
    }
    const { PowerUnregisterSuspendResumeNotification } = this.#powrprof.call;
    if (this.#power !== undefined) {
      await PowerUnregisterSuspendResumeNotification?.(this.#power);
    }
    this.#resources.dispose();
  }

  #subscribe(): void {
    const {
      NotifyIpInterfaceChange,
      NotifyRouteChange2,
      NotifyUnicastIpAddressChange,
    } = this.#iphlpapi.call;
    const context = Deno.UnsafePointer.create(BigInt(this.#event));
    const calls = {
      NotifyIpInterfaceChange,
      NotifyRouteChange2,
      NotifyUnicastIpAddressChange,
    };
    for (const [name, call] of Object.entries(calls)) {
      const out = new BigUint64Array(1);
      const code = call(AF_UNSPEC, this.#setEvent, context, 0, out);
      // Wine has these calls, but not all of what they do.
      if (code === Win32.NotSupported) continue;
      checkWin32(name, code);
      this.#registrations.push(out[0]);
    }
  }

  /** Without it, sleep is told by the clocks at the next look. */
  #subscribeToPower(): void {
    const { PowerRegisterSuspendResumeNotification } = this.#powrprof.call;
    const { at } = deviceNotifySubscribeParameters;
    const view = new DataView(this.#parameters.buffer);
    const callback = Deno.UnsafePointer.value(this.#setEvent);
    view.setBigUint64(at.Callback, BigInt(callback), true);
    view.setBigUint64(at.Context, BigInt(this.#event), true);
    const out = new BigUint64Array(1);
    const code = PowerRegisterSuspendResumeNotification?.(
      DEVICE_NOTIFY_CALLBACK,
      this.#parameters,
      out,
    );
    if (code === Win32.Success) this.#power = out[0];
  }
}
