/** Connections by an HTTP proxy (CONNECT), which may be spoken to by TLS. */
import { HttpConnectHandshake } from "../../core/proxy/http_connect.ts";
import { formatEndpoint } from "../../core/wire/address.ts";
import type {
  Dial,
  Dialer,
  DialerSetup,
  DialTarget,
  TlsBridgeRequest,
} from "../ports/dialer.ts";
import type { StreamSockets } from "../ports/stream_sockets.ts";
import { EXCHANGE_ROOM } from "./handshake_exchange.ts";
import { type ProxyAccess, ProxyDial } from "./proxy_dial.ts";

/** What is needed to reach the proxy. */
export type HttpDialerSetup = Extract<DialerSetup, { kind: "http" }>;

/** An HTTP proxy as a way out. */
export class HttpDialer implements Dialer {
  readonly name: string;
  readonly #setup: HttpDialerSetup;
  readonly #access: ProxyAccess;

  /**
   * @param bridge who speaks TLS.
   * @throws {TypeError} where TLS is wanted and nobody is there to speak it.
   */
  constructor(
    setup: HttpDialerSetup,
    sockets: StreamSockets,
    bridge?: (request: TlsBridgeRequest) => void,
  ) {
    const { proxy, origin, tls } = setup;
    if (tls !== undefined && bridge === undefined) {
      throw new TypeError("TLS to a proxy needs a bridge");
    }
    const scheme = tls === undefined ? "http" : "https";
    this.name = `${scheme} ${formatEndpoint(proxy.words, 0, proxy.port)}`;
    this.#setup = setup;
    this.#access = {
      sockets,
      proxy,
      origin,
      scratch: new Uint8Array(EXCHANGE_ROOM),
      tls: tls && bridge && { tls, bridge },
    };
  }

  /** @throws {TypeError} where user or password cannot be written in a header. */
  dial(target: DialTarget): Dial {
    const { credentials } = this.#setup;
    return new ProxyDial(
      this.#access,
      new HttpConnectHandshake({ target, credentials }),
    );
  }
}
