/** From a way out as a user names it to one that a worker can open. */
import { resolveHost } from "../resolve_host.ts";
import type {
  DialerSetup,
  OutboundAddress,
  SocketOrigin,
} from "../ports/dialer.ts";

/** What goes into a setup besides the proxy's own address. */
export interface ResolveOutboundOptions {
  readonly origin?: SocketOrigin;
  /** Certificates that a proxy's may be signed by, besides the usual ones, as PEM text. */
  readonly authorities?: string;
}

/**
 * Looks a proxy's name up, once: a setup has its address, so that no look-up
 * goes through the tunnel that it carries.
 * @throws {ResolveError} where the name is not found.
 */
export async function resolveOutbound(
  outbound: OutboundAddress,
  options: ResolveOutboundOptions = {},
): Promise<DialerSetup> {
  const { origin, authorities } = options;
  if (outbound.kind === "direct") return { kind: "direct", origin };
  const { host, port, credentials } = outbound;
  const proxy = { words: await resolveHost(host), port, host };
  if (outbound.kind === "socks5") {
    return { kind: "socks5", proxy, credentials, origin };
  }
  const tls = outbound.transport === "tls"
    ? { serverName: host, authorities }
    : undefined;
  return { kind: "http", proxy, credentials, tls, origin };
}
