/** The server's DNS: upstream sockets, local names, the TCP listeners. */
import { formatAddress } from "../core/wire/address.ts";
import type { ServerConfig } from "../config/server_config.ts";
import { DnsService } from "../control/dns_service.ts";
import { LocalNames } from "../control/local_names.ts";
import { listenDnsTcp } from "../io/dns_stream.ts";
import { DnsUpstreamSockets } from "../io/outbound/dns_upstream.ts";
import { logger } from "./log.ts";
import { serverAddresses, serverNames } from "./server_setup.ts";

const PORT = 53;

/** What the DNS works with. */
export interface ServerDnsOptions {
  readonly config: ServerConfig;
  readonly now: () => number;
  readonly sendPacket: (peer: number, packet: Uint8Array) => void;
  /** Whether the host has the gateway's addresses, so that TCP can be listened for. */
  readonly tcp: "listen" | "none";
}

/** A running DNS proxy. */
export class ServerDns implements Disposable {
  readonly service: DnsService;
  readonly #names: LocalNames;
  readonly #listeners: Disposable[];

  constructor(options: ServerDnsOptions) {
    const { config, now, sendPacket } = options;
    const { dns } = config;
    const names = new LocalNames(dns.domain);
    this.#names = names;
    names.set(serverNames(config));
    this.service = new DnsService({
      proxy: {
        timeoutMs: dns.timeoutMs,
        cache: dns.cache,
        random16: () => crypto.getRandomValues(new Uint16Array(1))[0],
        local: (query) => names.answer(query),
      },
      upstreams: new DnsUpstreamSockets(
        dns.upstreams.map(({ words, port }) => ({
          hostname: formatAddress(words),
          port,
        })),
      ),
      sendPacket,
      now,
    });
    this.#listeners = options.tcp === "none"
      ? []
      : serverAddresses(config).flatMap((hostname) => this.#listen(hostname));
  }

  /** Takes the peers' names anew. */
  update(config: ServerConfig): void {
    this.#names.set(serverNames(config));
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners) listener[Symbol.dispose]();
    this.service.stop();
  }

  #listen(hostname: string): Disposable[] {
    const answer = (query: Uint8Array) => this.service.handleStream(query);
    try {
      return [listenDnsTcp({ hostname, port: PORT, answer })];
    } catch (error) {
      logger("DNS").warn(
        "no DNS by TCP at {hostname}: {reason}; clients can ask by UDP only",
        { hostname, reason: (error as Error).message },
      );
      return [];
    }
  }
}
