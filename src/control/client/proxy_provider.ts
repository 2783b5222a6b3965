/**
 * SOCKS5 and HTTP proxies behind the contract of all tunnels. There is nothing
 * to keep up but the way itself; whether it carries is told by speaking with the
 * proxy as a program's connection would.
 *
 * An HTTP proxy carries TCP alone, but questions to resolvers reach it as well:
 * the packet side asks those by TCP.
 */
import { Way } from "../../core/flow/flow_table.ts";
import type { TunnelCarries } from "../../core/route/rules/facts.ts";
import type { DialerSetup } from "../../io/ports/dialer.ts";
import type { HealthProbe, Resolver, TunnelDefinition } from "./client_plan.ts";
import type { ProbeOutcome } from "./probe_outcome.ts";
import type { ProbeRequest } from "./probes.ts";
import type { Trust } from "./tunnel_output.ts";
import type {
  DefinitionOf,
  ProviderOptions,
  ProviderStatus,
  TunnelProvider,
} from "./tunnel_provider.ts";

const NOT_CONNECTED: ProbeOutcome = {
  kind: "failed",
  cause: "system",
  text: "it is not connected",
};

/** A SOCKS5 or HTTP proxy. */
export class ProxyProvider implements TunnelProvider {
  readonly hosts: readonly string[];
  readonly carries: TunnelCarries;
  readonly way = Way.Proxy;
  readonly #options: ProviderOptions<DefinitionOf<"socks5" | "http">>;
  #look: Pick<TunnelDefinition, "health" | "resolvers">;
  #setup: DialerSetup | undefined;

  constructor(options: ProviderOptions<DefinitionOf<"socks5" | "http">>) {
    this.#options = options;
    const { proxy, type } = options.definition;
    this.#look = options.definition;
    this.hosts = [proxy.host];
    this.carries = {
      ipv4: true,
      ipv6: true,
      tcp: true,
      udp: type === "socks5",
      icmp: false,
      other: false,
    };
  }

  get resolvers(): readonly Resolver[] {
    return this.#look.resolvers;
  }

  adjust(definition: TunnelDefinition): void {
    this.#look = definition;
  }

  /** A proxy gives us no address of its network. */
  adapterAddress(_family: 4 | 6): undefined {
    return undefined;
  }

  async connect([words]: readonly Int32Array[]): Promise<void> {
    const { engine, outbound, definition } = this.#options;
    await this.disconnect();
    const setup = dialerSetup(definition, words);
    await engine.attachProxy(outbound, setup);
    this.#setup = setup;
  }

  async disconnect(): Promise<void> {
    if (this.#setup === undefined) return;
    this.#setup = undefined;
    await this.#options.engine.detach(this.#options.outbound);
  }

  status(): ProviderStatus {
    const setup = this.#setup;
    const endpoint = setup === undefined || setup.kind === "direct"
      ? undefined
      : { words: setup.proxy.words, port: setup.proxy.port };
    return { endpoint, lastHandshakeAt: undefined, traffic: undefined };
  }

  probe(_trust: Trust): Promise<ProbeOutcome> {
    const setup = this.#setup;
    if (setup === undefined) return Promise.resolve(NOT_CONNECTED);
    const { prober, definition: { name } } = this.#options;
    const { health } = this.#look;
    return prober({
      kind: "proxy",
      tunnel: name,
      timeoutMs: health.timeoutMs,
      setup,
      ask: askOf(health.probe),
    });
  }
}

/** What is asked of a proxy: it can't be asked for echoes. */
function askOf(
  probe: HealthProbe,
): Extract<ProbeRequest, { kind: "proxy" }>["ask"] {
  return probe.kind === "own" || probe.kind === "ping"
    ? { kind: "greet" }
    : probe;
}

function dialerSetup(
  { proxy, tls }: DefinitionOf<"socks5" | "http">,
  words: Int32Array,
): DialerSetup {
  const { host, port, credentials } = proxy;
  const place = { words, port, host };
  if (proxy.kind === "socks5") {
    return { kind: "socks5", proxy: place, credentials };
  }
  return {
    kind: "http",
    proxy: place,
    credentials,
    tls: proxy.transport === "tls" ? tls ?? { serverName: host } : undefined,
  };
}
