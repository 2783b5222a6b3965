/**
 * Capture by the driver of the Windows Packet Filter, as the thread holds it that
 * opened it: adapters and their modes, sections, static filters, and adapters
 * that come and go.
 *
 *     open      driver, sections, event; frames go their own way
 *     start     filters first, then adapter by adapter: frames come to us
 *     dispose   modes as they were before, what waits goes nowhere, driver closed
 *
 * When the process dies the system closes the driver for it, and the driver
 * takes all modes, filters and sections back: nothing has to be undone later.
 */
import { INFINITE, type Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { MSTCP_FLAG } from "../../../../ffi/windows/ndisapi.ts";
import {
  type CaptureCounters,
  CaptureError,
  type CaptureEvents,
  type OpenedCapture,
  type PassRule,
} from "../../ports/capture.ts";
import {
  allocateNative,
  type NativeMemory,
  releaseNative,
} from "./native_memory.ts";
import {
  BLOCK_LENGTH,
  countersOf,
  SECTION_BYTES,
  snapshotOf,
  writeBlock,
} from "./ndis_block.ts";
import { type NdisAdapter, NdisDriver } from "./ndis_driver.ts";
import { filterTable } from "./ndis_filters.ts";

const SECTIONS = 4;
const CAPTURED = MSTCP_FLAG.SENT_TUNNEL | MSTCP_FLAG.RECV_TUNNEL;

/** See the file header. */
export class NdisCapture implements OpenedCapture {
  readonly descriptor: number;
  readonly name: string;
  readonly transfer: OpenedCapture["transfer"];
  readonly #kernel32: Kernel32;
  readonly #events: CaptureEvents;
  readonly #driver: NdisDriver;
  readonly #resources = new DisposableStack();
  readonly #block: ArrayBuffer;
  readonly #event: number;
  readonly #listEvent: number;
  /** Those that are captured, with the mode that each had before. */
  readonly #captured = new Map<bigint, number>();
  readonly #passed: Record<"host" | "tunnels", readonly PassRule[]> = {
    host: [],
    tunnels: [],
  };
  #adapters: readonly NdisAdapter[];
  #isRunning = false;
  #isEnding = false;

  /** @throws {CaptureError} with nothing left behind. */
  constructor(kernel32: Kernel32, events: CaptureEvents) {
    using guard = new DisposableStack();
    this.#kernel32 = kernel32;
    this.#events = events;
    // All that the driver writes to outlives it.
    const block = this.#allocate(guard, BLOCK_LENGTH);
    const memory = Array.from(
      { length: SECTIONS },
      () => this.#allocate(guard, SECTION_BYTES).address,
    );
    this.#event = this.#openEvent(guard);
    this.#listEvent = this.#openEvent(guard);
    this.#driver = guard.use(NdisDriver.open(kernel32));
    this.name = `ndis ${this.#driver.version}`;
    this.#adapters = this.#driver.adapters();
    const sections = this.#takenSections(memory);
    this.transfer = sections.length > 0 ? "shared-memory" : "queue";
    this.#block = block.buffer;
    this.descriptor = block.address;
    writeBlock(block.buffer, {
      event: this.#event,
      driver: this.#driver.handle,
      sections,
      sectionLength: SECTION_BYTES,
    });
    this.#resources.use(guard.move());
  }

  get mtu(): number {
    const mtus = this.#adapters.map(({ mtu }) => mtu).filter((mtu) => mtu > 0);
    return Math.min(1500, ...mtus);
  }

  adapters(): readonly NdisAdapter[] {
    return this.#adapters;
  }

  setPassed(about: "host" | "tunnels", rules: readonly PassRule[]): void {
    const { call, handle } = this.#driver;
    this.#passed[about] = rules;
    const { tunnels, host } = this.#passed;
    const table = filterTable([...tunnels, ...host]);
    if (call.SetPacketFilterTable(handle, table) !== 0) return;
    throw new CaptureError(
      "failed",
      "the capture driver refused SetPacketFilterTable",
      "restart Windows, or reinstall the Windows Packet Filter",
    );
  }

  start(): void {
    const { call, handle } = this.#driver;
    this.#isRunning = true;
    call.SetAdapterListChangeEvent(handle, BigInt(this.#listEvent));
    for (const adapter of this.#adapters) this.#capture(adapter);
    if (this.#captured.size < this.#adapters.length) {
      throw new CaptureError(
        "failed",
        "the capture driver refused SetAdapterMode",
        "restart Windows, or reinstall the Windows Packet Filter",
      );
    }
    void this.#watch();
  }

  counters(): CaptureCounters {
    return snapshotOf(countersOf(this.#block));
  }

  [Symbol.dispose](): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const { call, handle } = this.#driver;
    for (const [adapter, mode] of this.#captured) {
      this.#driver.setMode(adapter, mode);
      call.SetPacketEvent(handle, adapter, 0n);
      call.FlushAdapterPacketQueue(handle, adapter);
    }
    call.ResetPacketFilterTable(handle);
    call.SetAdapterListChangeEvent(handle, 0n);
    if (!this.#isRunning) return this.#resources.dispose();
    // The watcher closes all, once it has come back from its wait.
    this.#kernel32.call.SetEvent(this.#listEvent);
  }

  /** Follows the list of adapters until the end. */
  async #watch(): Promise<void> {
    const { call } = this.#kernel32;
    while (!this.#isEnding) {
      await call.WaitForSingleObjectElsewhere(this.#listEvent, INFINITE);
      if (this.#isEnding) break;
      call.ResetEvent(this.#listEvent);
      try {
        this.#relist();
      } catch (error) {
        // The driver is asked again with the next news.
        if (!(error instanceof CaptureError)) throw error;
        this.#events.onLine(`${error.message}: adapters may be left out`);
      }
    }
    this.#resources.dispose();
  }

  #relist(): void {
    const before = this.#adapters;
    this.#adapters = this.#driver.adapters();
    const handles = new Set(this.#adapters.map(({ handle }) => handle));
    for (const { handle } of before) {
      if (!handles.has(handle)) this.#captured.delete(handle);
    }
    for (const adapter of this.#adapters) {
      if (this.#captured.has(adapter.handle)) continue;
      if (!this.#capture(adapter)) {
        this.#events.onLine(
          `the capture driver refused adapter ${adapter.name}: what leaves by it is not seen`,
        );
      }
    }
    this.#events.onAdapters?.(this.#adapters);
  }

  #capture({ handle: adapter, name }: NdisAdapter): boolean {
    const { call, handle } = this.#driver;
    const before = this.#driver.modeOf(adapter);
    if (before !== 0) {
      this.#events.onLine(
        `another program captures at adapter ${name}, too: end it, or they disturb each other`,
      );
    }
    const isSet =
      call.SetPacketEvent(handle, adapter, BigInt(this.#event)) !== 0 &&
      this.#driver.setMode(adapter, CAPTURED);
    if (isSet) this.#captured.set(adapter, before);
    return isSet;
  }

  #openEvent(guard: DisposableStack): number {
    const { call } = this.#kernel32;
    const event = call.CreateEventW(null, 1, 0, null);
    if (event === 0) throw this.#kernel32.error("CreateEventW");
    guard.defer(() => void call.CloseHandle(event));
    return event;
  }

  #allocate(guard: DisposableStack, byteLength: number): NativeMemory {
    const memory = allocateNative(this.#kernel32, byteLength);
    guard.defer(() => releaseNative(this.#kernel32, memory.address));
    return memory;
  }

  /** Those that the driver takes; none where it has no such thing. */
  #takenSections(addresses: readonly number[]): number[] {
    const { call, handle } = this.#driver;
    const refused = addresses.findIndex((address, n) => {
      const add = n === 0 ? call.InitializeFastIo : call.AddSecondaryFastIo;
      return add(handle, BigInt(address), SECTION_BYTES) === 0;
    });
    return refused < 0 ? [...addresses] : addresses.slice(0, refused);
  }
}
