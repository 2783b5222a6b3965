/**
 * A relay as the control thread holds it: its listeners, its wake, its counters
 * and the worker. Disposing of it closes all, once the worker has ended.
 */
import { sharedBuffer } from "../core/columns/columns.ts";
import type { RelayEnds } from "../core/flow/redirect.ts";
import type { Prefix } from "../core/wire/address.ts";
import { formatAddress } from "../core/wire/address.ts";
import { RelayCounters } from "../datapath/relay/relay_counters.ts";
import { UNSENT_LIMIT } from "../datapath/relay/relay_settings.ts";
import { TlsBridges } from "../io/outbound/tls_bridge.ts";
import type { Platform } from "../io/platform.ts";
import type { Wake } from "../io/ports.ts";
import type { DnsNotice, RelayNotice, RelaySetup } from "./relay.ts";
import { WorkerThread } from "./worker_thread.ts";

/** Where a relay is to listen; a family that it does not serve is undefined. */
export interface RelayAddresses {
  /** A in each family, with the length of the prefix that holds A and all N. */
  readonly ipv4: Prefix | undefined;
  readonly ipv6: Prefix | undefined;
  /** At which address connections reach it; A where nothing is said. */
  readonly reached?: RelayEnds["reached"];
}

/** What a relay tells. */
export interface RelayEvents {
  /** The worker ended by itself. */
  onFailure(message: string): void;
  /** A line for the log. */
  onLine(text: string): void;
  /** What a resolver answered a flow, where flows are told apart. */
  onDnsAnswer?(answer: DnsNotice): void;
}

/** The part of a worker's setup that is not the relay's own. */
export type RelayWorkerSetup = Omit<
  RelaySetup,
  "ends" | "counters" | "listeners" | "wake" | "stop"
>;

/** Every address of the host's own. */
const ANY_ADDRESS = { 4: [0, 0, 0xffff, 0], 6: [0, 0, 0, 0] } as const;

/** Connections that the system holds until the worker takes them; it may cut this. */
const BACKLOG = 4096;

/** See the module header. */
export class RelayProcess implements Disposable {
  /** Where it listens. */
  readonly ends: RelayEnds;
  readonly counters: RelayCounters;
  /** Wakes the worker for messages in its ring. */
  readonly wake: Wake;
  readonly #stop = new Int32Array(sharedBuffer(4));
  readonly #countersBuffer = sharedBuffer(RelayCounters.byteLength);
  readonly #listeners: number[] = [];
  readonly #resources = new DisposableStack();
  readonly #bridges: TlsBridges;
  #worker: WorkerThread<RelayNotice> | undefined;

  /**
   * Opens the listeners. The addresses are on the interface by then.
   * @throws {Error} where one can't be listened at.
   */
  constructor(
    platform: Platform,
    addresses: RelayAddresses,
    interfaceName?: string,
  ) {
    using guard = new DisposableStack();
    const sockets = platform.openStreamSockets();
    const { reached = "relay" } = addresses;
    const listen = (prefix: Prefix | undefined) => {
      if (prefix === undefined) return undefined;
      const words = Int32Array.from(
        reached === "relay" ? prefix.words : ANY_ADDRESS[prefix.family],
      );
      const listener = sockets.listen({
        address: { words, port: 0 },
        backlog: BACKLOG,
        interfaceName,
      });
      if (listener < 0) {
        // A host without IPv6 has no address of its own to be reached at.
        if (reached === "client" && prefix.family === 6) return undefined;
        throw new Error(
          `cannot listen for the TCP relay at ${formatAddress(words)}: ` +
            sockets.errorText(listener),
        );
      }
      guard.defer(() => sockets.close(listener));
      sockets.setUnsentLimit(listener, UNSENT_LIMIT);
      this.#listeners.push(listener);
      return { address: prefix, port: sockets.localPort(listener) };
    };
    this.ends = {
      ipv4: listen(addresses.ipv4),
      ipv6: listen(addresses.ipv6),
      reached,
    };
    this.counters = new RelayCounters(this.#countersBuffer);
    this.wake = guard.use(platform.openWake());
    const streams = guard.use(platform.openSocketStreams());
    this.#bridges = guard.use(new TlsBridges(streams));
    this.#resources.use(guard.move());
  }

  /**
   * Starts the worker.
   * @param entry the worker's module: one that has a guest has an entry of its own
   */
  start(
    setup: RelayWorkerSetup,
    events: RelayEvents,
    entry: string = import.meta.resolve("./relay_worker.ts"),
  ): void {
    const whole: RelaySetup = {
      ...setup,
      ends: this.ends,
      counters: this.#countersBuffer,
      listeners: this.#listeners,
      stop: this.#stop,
      wake: this.wake.descriptor,
    };
    this.#worker = new WorkerThread<RelayNotice>(
      { name: "relay", entry, setup: whole },
      {
        onFailure: (message) => events.onFailure(message),
        onMessage: (notice) => {
          switch (notice.kind) {
            case "line":
              return events.onLine(notice.text);
            case "tls":
              return this.#bridges.open(notice.request);
            case "dns":
              return events.onDnsAnswer?.(notice.answer);
          }
        },
      },
    );
  }

  /** Ends all connections, and waits for the worker to end. */
  async end(): Promise<void> {
    Atomics.store(this.#stop, 0, 1);
    this.wake.signal();
    await this.#worker?.end();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}
