/**
 * What a TUN stack is made of on the host, whatever its engine is: the interface
 * with its addresses, the relay that listens there, the worker's poll set, its
 * wake and its sockets outside. Disposing of it undoes all.
 *
 * In the place of an interface there may be a capture of packets on their way:
 * then the relay is reached at the host's own addresses.
 */
import type { Platform } from "../io/platform.ts";
import type {
  CreatedTun,
  HostNetwork,
  InterfaceConfig,
  Loosened,
  OpenedCapture,
  OpenedOutside,
  OpenedPoller,
  Wake,
} from "../io/ports.ts";
import { RelayProcess } from "./relay_process.ts";
import type { StackSetup } from "./stack_parts.ts";
import type { RelayPlace } from "./tun2socks_setup.ts";

/** How it is made. */
export interface StackDevicesOptions {
  readonly platform: Platform;
  readonly network: HostNetwork;
  /** The interface without routes: they come once the relay is ready. */
  readonly config: InterfaceConfig | OpenedCapture;
  readonly place: RelayPlace;
  /** The interface that direct traffic leaves by; absent for what routes say. */
  readonly egress: number | undefined;
  /** The mark of sockets outside. */
  readonly mark?: number;
  /** Sockets outside at once. */
  readonly mappings: number;
  /** An interface that had to let in answers of the outside. */
  readonly onLoosened: (result: Loosened) => void;
}

/** See the module header. */
export class StackDevices implements Disposable {
  readonly tun: CreatedTun;
  readonly relay: RelayProcess;
  readonly poller: OpenedPoller;
  readonly wake: Wake;
  readonly outside: OpenedOutside;
  readonly #options: StackDevicesOptions;
  readonly #resources = new DisposableStack();

  /** @throws {TunError | Error} with nothing left behind. */
  constructor(options: StackDevicesOptions) {
    const { platform, network, config, place, egress, mappings } = options;
    this.#options = options;
    using guard = new DisposableStack();
    if ("descriptor" in config) {
      this.tun = guard.use(asInterface(config));
      const addresses = { ...place, reached: "client" } as const;
      this.relay = guard.use(new RelayProcess(platform, addresses));
    } else {
      const { name } = config;
      this.tun = guard.use(platform.createTun({ name, offload: "tcp" }));
      guard.defer(() => network.reset());
      const missing = network.apply(config);
      this.loosen(network.interfaceIndex(name));
      this.loosen(egress);
      const addresses = {
        ipv4: place.ipv4,
        ipv6: missing.length > 0 ? undefined : place.ipv6,
      };
      this.relay = guard.use(new RelayProcess(platform, addresses, name));
    }
    this.poller = guard.use(platform.openPoller());
    this.wake = guard.use(platform.openWake());
    this.outside = guard.use(platform.openOutside({
      poller: this.poller.descriptor,
      wake: this.wake.descriptor,
      capacity: mappings,
      interfaceIndex: egress,
      mark: options.mark,
    }));
    this.#resources.use(guard.move());
  }

  /** What the stack's worker is told of them. */
  setup(options: Pick<StackSetup, "mtu" | "trace">): StackSetup {
    const { descriptor, name, offload } = this.tun;
    return {
      ...options,
      tun: { descriptor, name, offload },
      outside: this.outside.shared,
      poller: this.poller.descriptor,
      wake: this.wake.descriptor,
      relayWake: this.relay.wake.descriptor,
    };
  }

  /** Lets an interface take answers of the outside that a strict filter would not. */
  loosen(interfaceIndex: number | undefined): void {
    if (interfaceIndex === undefined) return;
    const { network, onLoosened } = this.#options;
    onLoosened(network.loosen(interfaceIndex));
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

/** A capture in the place of an interface: single packets, checksums true or made so. */
function asInterface(capture: OpenedCapture): CreatedTun {
  const { descriptor, name } = capture;
  return {
    descriptor,
    name,
    offload: { vnetHeader: false, tso4: false, tso6: false, uso: false },
    persistent: false,
    [Symbol.dispose]: () => capture[Symbol.dispose](),
  };
}
