/** Connections by a SOCKS5 proxy. */
import { Socks5Handshake } from "../../core/proxy/socks5.ts";
import { formatEndpoint } from "../../core/wire/address.ts";
import type { Dial, Dialer, DialerSetup, DialTarget } from "../ports/dialer.ts";
import type { StreamSockets } from "../ports/stream_sockets.ts";
import { EXCHANGE_ROOM } from "./handshake_exchange.ts";
import { type ProxyAccess, ProxyDial } from "./proxy_dial.ts";

/** What is needed to reach the proxy. */
export type Socks5DialerSetup = Extract<DialerSetup, { kind: "socks5" }>;

/** A SOCKS5 proxy as a way out. */
export class Socks5Dialer implements Dialer {
  readonly name: string;
  readonly #setup: Socks5DialerSetup;
  readonly #access: ProxyAccess;

  constructor(setup: Socks5DialerSetup, sockets: StreamSockets) {
    const { proxy, origin } = setup;
    this.name = `socks5 ${formatEndpoint(proxy.words, 0, proxy.port)}`;
    this.#setup = setup;
    const scratch = new Uint8Array(EXCHANGE_ROOM);
    this.#access = { sockets, proxy, origin, scratch };
  }

  /** @throws {RangeError} where user or password have more than 255 bytes. */
  dial(target: DialTarget): Dial {
    const { credentials } = this.#setup;
    return new ProxyDial(
      this.#access,
      new Socks5Handshake({ target, credentials }),
    );
  }
}
