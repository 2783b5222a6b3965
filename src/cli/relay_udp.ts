/** UDP in the relay worker, put together from plain data. */
import type { RelayGuest, RelayHost } from "../datapath/relay/relay_guest.ts";
import { UdpCounters } from "../datapath/relay/udp_counters.ts";
import {
  UDP_RELAY_LIMITS,
  UdpRelay,
  type UdpRelayLimits,
} from "../datapath/relay/udp_relay.ts";
import { openUdpCarrier } from "../io/outbound/udp_carrier.ts";
import type { Dialer, DialerSetup, StreamSockets } from "../io/ports.ts";

/** What the relay worker needs to carry UDP; survives structured cloning. */
export interface RelayUdpSetup {
  /** The way out. */
  readonly outbound: DialerSetup;
  /** Zeros, of {@linkcode UdpCounters.byteLength} bytes. */
  readonly counters: SharedArrayBuffer;
  /** Those that differ from {@linkcode UDP_RELAY_LIMITS}. */
  readonly limits?: Partial<UdpRelayLimits>;
}

/**
 * Makes the guest that carries UDP, for the relay's loop.
 * @param options.dialer the relay's own way out, for DNS over TCP
 */
export function relayUdp(
  setup: RelayUdpSetup,
  options: { readonly sockets: StreamSockets; readonly dialer: Dialer },
): (host: RelayHost) => RelayGuest {
  const { outbound, counters, limits } = setup;
  return (host) =>
    new UdpRelay({
      ...options,
      host,
      carrier: openUdpCarrier(outbound, options.sockets),
      counters: new UdpCounters(counters),
      limits: { ...UDP_RELAY_LIMITS, ...limits },
      seed: crypto.getRandomValues(new Int32Array(1))[0],
    });
}
