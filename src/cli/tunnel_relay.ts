/** A tunnel's TCP proxy: the relay with what a gateway's tunnel has. */
import type { TcpRelayConfig } from "../core/engine/tcp_relay_config.ts";
import type { GatewayConfig } from "../core/engine/gateway_config.ts";
import type { RelayEnds } from "../core/flow/redirect.ts";
import { isUnspecified } from "../core/wire/address.ts";
import type { RelayLimits } from "../datapath/relay/relay_settings.ts";
import {
  type SharedState,
  type SharedTables,
  Thread,
} from "../datapath/shared_state.ts";
import type { Platform } from "../io/platform.ts";
import type { DialerSetup } from "../io/ports/dialer.ts";
import type { CreatedTun, NetworkWarning } from "../io/ports.ts";
import {
  type RelayAddresses,
  type RelayEvents,
  RelayProcess,
} from "./relay_process.ts";

/** What a tunnel's TCP proxy is told. */
export interface TunnelRelayOptions {
  readonly addresses: RelayAddresses;
  readonly dialer: DialerSetup;
  readonly limits: RelayLimits;
  readonly engine: Omit<TcpRelayConfig, keyof RelayEnds>;
}

/** What it works in. */
export interface TunnelRelayParts {
  readonly tun: CreatedTun;
  readonly shared: SharedState;
  readonly tables: SharedTables;
  /** The gateway's own addresses, and whether clients may reach its host. */
  readonly gateway: Pick<GatewayConfig, "address4" | "address6" | "host">;
}

/** Opens the proxy's listeners; without IPv6 where the interface has none. */
export function openTunnelRelay(
  platform: Platform,
  options: TunnelRelayOptions,
  { interfaceName, warnings }: {
    interfaceName: string;
    warnings: readonly NetworkWarning[];
  },
): RelayProcess {
  const { ipv4, ipv6 } = options.addresses;
  const hasIpv6 = warnings.every(({ kind }) => kind !== "ipv6-off");
  const addresses = { ipv4, ipv6: hasIpv6 ? ipv6 : undefined };
  return new RelayProcess(platform, addresses, interfaceName);
}

/** Starts the proxy's worker. */
export function startTunnelRelay(
  relay: RelayProcess,
  options: TunnelRelayOptions,
  parts: TunnelRelayParts & { readonly events: RelayEvents },
): void {
  const { tun, shared, tables, gateway, events } = parts;
  const { redirects, relayRing, sizes } = shared;
  if (
    redirects === undefined || relayRing === undefined ||
    sizes.redirects === undefined
  ) throw new TypeError("a TCP proxy needs a redirect table");
  relay.start({
    limits: options.limits,
    dialer: options.dialer,
    redirects: { buffer: redirects, options: sizes.redirects },
    ring: { buffer: relayRing, bytes: sizes.ringBytes },
    answers: {
      kind: "peers",
      ring: { buffer: shared.rings[Thread.Relay], bytes: sizes.ringBytes },
      bell: tables.bell,
    },
    answerSource: {
      address4: gateway.address4 === 0 ? undefined : gateway.address4,
      address6: isUnspecified(gateway.address6) ? undefined : gateway.address6,
    },
    // The engine knows the host's addresses of the start; there may be new ones.
    ownHost: gateway.host === "allow" ? "allow" : "refuse",
    tun: { descriptor: tun.descriptor, vnetHeader: tun.offload.vnetHeader },
  }, events);
}
