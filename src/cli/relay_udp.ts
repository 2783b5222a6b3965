/** UDP in the relay worker, put together from plain data. */
import type { RelayGuest } from "../datapath/relay/relay_guest.ts";
import { UdpCounters } from "../datapath/relay/udp_counters.ts";
import {
  UDP_RELAY_LIMITS,
  UdpRelay,
  type UdpRelayLimits,
} from "../datapath/relay/udp_relay.ts";
import { openUdpCarrier } from "../io/outbound/udp_carrier.ts";
import type { GuestParts, RelaySetup } from "./relay.ts";

/** What a relay worker needs to carry UDP too; survives structured cloning. */
export interface RelayUdpSetup {
  readonly udp: {
    /** Zeros, of {@linkcode UdpCounters.byteLength} bytes. */
    readonly counters: SharedArrayBuffer;
    /** Those that differ from {@linkcode UDP_RELAY_LIMITS}. */
    readonly limits?: Partial<UdpRelayLimits>;
  };
}

/** Makes the guest that carries UDP by the relay's own way out. */
export function openRelayUdp(
  setup: Pick<RelaySetup, "dialer"> & RelayUdpSetup,
  parts: Pick<GuestParts, "host" | "sockets" | "dialer">,
): RelayGuest {
  const { counters, limits } = setup.udp;
  return new UdpRelay({
    ...parts,
    carrier: openUdpCarrier(setup.dialer, parts.sockets),
    counters: new UdpCounters(counters),
    limits: { ...UDP_RELAY_LIMITS, ...limits },
    seed: crypto.getRandomValues(new Int32Array(1))[0],
  });
}
