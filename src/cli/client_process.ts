/**
 * The packet side of a running split tunnel, put together: interface, worker
 * with the flows, relay, packet tunnels. Disposing of it undoes everything.
 */
import type { Prefix } from "../core/wire/address.ts";
import type { ClientEgress, ClientEvents } from "../control/client_engine.ts";
import type { Platform } from "../io/platform.ts";
import type { HostNetwork } from "../io/ports.ts";

/** The interface that captures. */
export interface ClientTun {
  readonly name: string;
  /** The host's own addresses on it, where programs' packets come from. */
  readonly address4: Prefix;
  readonly address6: Prefix | undefined;
  readonly mtu: number;
}

/** What a client is made of. */
export interface ClientProcessOptions {
  readonly platform: Platform;
  readonly network: HostNetwork;
  readonly tun: ClientTun;
  /** The mark of all sockets of our own (SO_MARK): policy routing excepts it. */
  readonly mark: number;
  readonly egress: ClientEgress;
  readonly events: ClientEvents;
  /** Whether dropped packets are told to `onDrop`. */
  readonly trace: boolean;
  /** Flows at once; 65,536 where it is absent. */
  readonly flows?: number;
}
