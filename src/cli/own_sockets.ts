/**
 * Where sockets of our own start, so that the client's routes don't lead them
 * back into its capture.
 *
 *     marked    all have the mark that policy routing excepts
 *     bound     each leaves by the interface that the host's own routes name for
 *               where it goes; without such a route by loopback, that is nowhere
 */
import type { AddressWords } from "../core/wire/address.ts";
import type { HostNetwork, SocketOrigin } from "../io/ports.ts";
import type { Platform } from "../io/platform.ts";
import type { ClientEgress } from "../control/client_engine.ts";

/** What they start by. */
export interface OwnSocketsOptions {
  readonly ownPackets: Platform["ownPackets"];
  readonly network: Pick<HostNetwork, "egressFor">;
  /** 0 for none. */
  readonly mark: number;
}

const LOOPBACK_INDEX = 1;

/** See the module header. */
export class OwnSockets {
  readonly #options: OwnSocketsOptions;

  constructor(options: OwnSocketsOptions) {
    this.#options = options;
  }

  /** Where a socket to a destination starts. */
  towards(words: AddressWords): SocketOrigin {
    const { mark } = this.#options;
    if (mark !== 0 && this.#options.ownPackets === "marked") return { mark };
    const interfaceIndex = this.interfaceTowards(words);
    return interfaceIndex === undefined ? {} : { interfaceIndex };
  }

  /**
   * The interface that a socket to a destination is to be bound to; undefined
   * where routes may say, as they do for this host's own addresses.
   */
  interfaceTowards(words: AddressWords): number | undefined {
    const { ownPackets, network, mark } = this.#options;
    if (ownPackets === "marked") return undefined;
    const egress = network.egressFor(words, mark);
    if (egress === undefined) return LOOPBACK_INDEX;
    const { interfaceIndex } = egress;
    return interfaceIndex === LOOPBACK_INDEX ? undefined : interfaceIndex;
  }

  /** The interfaces of a direct way: without one, and without a mark, it leads nowhere. */
  direct({ ipv4, ipv6 }: ClientEgress): ClientEgress {
    if (this.#options.ownPackets === "marked") return { ipv4, ipv6 };
    return { ipv4: ipv4 ?? LOOPBACK_INDEX, ipv6: ipv6 ?? LOOPBACK_INDEX };
  }

  /** Where a socket starts that leaves by an interface. */
  leavingBy(interfaceIndex: number | undefined): SocketOrigin {
    const { mark } = this.#options;
    return mark === 0 ? { interfaceIndex } : { mark, interfaceIndex };
  }
}
