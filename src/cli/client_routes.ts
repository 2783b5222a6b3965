/**
 * How traffic comes to the client's interface and leaves the host again: routes
 * into the capture, and ways out of the host that answers can come back by.
 */
import type { ClientConfig } from "../config/client_config.ts";
import type { EgressChoice } from "../control/client/network_reaction.ts";
import type { Platform } from "../io/platform.ts";
import type { HostNetwork, Journal, PolicyRouting } from "../io/ports.ts";
import {
  calledInterfaces,
  capturePolicy,
  chooseEgress,
} from "./client_capture.ts";
import { logger } from "./log.ts";

/** What routes are made by. */
export interface ClientRoutesOptions {
  readonly platform: Platform;
  readonly network: HostNetwork;
  readonly journal: Journal;
}

/** Routes and rules that lead the host's traffic into the capture, until it is disposed of. */
export class ClientRoutes implements Disposable {
  readonly #network: HostNetwork;
  readonly #routing: PolicyRouting;

  constructor({ platform, network, journal }: ClientRoutesOptions) {
    this.#network = network;
    this.#routing = platform.openPolicyRouting(journal);
  }

  /** Leads traffic in. @throws what applying throws. */
  lead(interfaceName: string, config: ClientConfig): void {
    const index = this.#network.interfaceIndex(interfaceName);
    if (index === undefined) throw new Error("the capture has gone");
    const warnings = this.#routing.apply(capturePolicy(index, config));
    for (const { reason } of warnings) {
      logger("Router").info("{reason}", { reason });
    }
  }

  /** Where routes stand for what they are nearer than, they follow that. */
  leadAgain(interfaceName: string, config: ClientConfig): void {
    const index = this.#network.interfaceIndex(interfaceName);
    if (index === undefined) return;
    try {
      this.#routing.apply(capturePolicy(index, config));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      logger("Router").warn("routes stay as they are: {reason}", { reason });
    }
  }

  [Symbol.dispose](): void {
    try {
      this.#routing.reset();
    } finally {
      this.#routing[Symbol.dispose]();
    }
  }
}

/**
 * The ways out of the host now. To a strict filter what callers send, and
 * answers to our own marked packets, look misled: it is made loose there.
 */
export function openEgress(
  network: HostNetwork,
  config: ClientConfig,
): EgressChoice {
  const egress = chooseEgress(network, config.capture.interfaceName);
  const indexes = [
    ...[egress.ipv4, egress.ipv6].flatMap((way) => way?.interfaceIndex ?? []),
    ...calledInterfaces(network, config),
  ];
  for (const index of new Set(indexes)) network.loosen(index);
  return egress;
}
