/**
 * TLS to proxies, for workers that block in calls and so have no event loop.
 *
 *     relay worker                      control thread
 *     one end of a pair ── plain ── the other end ── TLS ── the proxy
 *
 * The worker connects to the proxy itself (its own address, interface, mark),
 * and hands the connection over with the other end of the pair. The first bytes
 * it gets back are the prelude (tls_prelude.ts); ends and resets are passed on
 * both ways. A proxy that ends without TLS's goodbye counts as one that ended.
 */
import { isIP, type Socket } from "node:net";
import {
  connect as connectTls,
  type ConnectionOptions,
  type TLSSocket,
} from "node:tls";
import type { TlsBridgeRequest } from "../ports/dialer.ts";
import type { SocketStream, SocketStreams } from "../ports/socket_streams.ts";
import { streamOver } from "./socket_stream.ts";
import { encodeTlsFailure, encodeTlsStands } from "./tls_prelude.ts";

/** The bridges of a process; used by its control thread. */
export class TlsBridges implements Disposable {
  readonly #streams: SocketStreams;
  readonly #open = new Set<Bridge>();

  /** @param streams what opens the sockets; the caller's to dispose of, after this */
  constructor(streams: SocketStreams) {
    this.#streams = streams;
  }

  /** How many stand or are being made. */
  get count(): number {
    return this.#open.size;
  }

  /** Takes both descriptors over and speaks TLS between them. */
  open(request: TlsBridgeRequest): void {
    const streams = this.#streams;
    const bridge = new Bridge(
      {
        plain: streams.open(request.plainDescriptor),
        raw: streams.open(request.proxyDescriptor),
      },
      () => this.#open.delete(bridge),
    );
    this.#open.add(bridge);
    bridge.start(request);
  }

  /** Ends all of them at once. */
  [Symbol.dispose](): void {
    for (const bridge of [...this.#open]) bridge.end();
  }
}

class Bridge {
  readonly #plain: SocketStream;
  readonly #raw: SocketStream;
  readonly #ended: () => void;
  #secure: TLSSocket | undefined;
  #stands = false;

  constructor(
    { plain, raw }: { plain: SocketStream; raw: SocketStream },
    ended: () => void,
  ) {
    this.#ended = ended;
    this.#plain = plain;
    this.#raw = raw;
  }

  start(request: TlsBridgeRequest): void {
    const plain = this.#plain;
    const giveUp = () => this.end();
    // Nothing comes before the prelude; reading tells that the worker gave up.
    plain.once("end", giveUp);
    plain.resume();
    plain.once("close", giveUp);
    plain.on("error", () => {
      this.#raw.resetAndDestroy();
      this.end();
    });
    const secure = this.#connect(request);
    if (secure === undefined) return;
    secure.once("secureConnect", () => {
      this.#stands = true;
      plain.off("end", giveUp);
      plain.write(encodeTlsStands());
      plain.pipe(secure);
      secure.pipe(plain);
    });
    secure.on("error", (error) => this.#break(error.message));
    secure.once("close", () => {
      if (!secure.readableEnded) this.#break("the proxy closed the connection");
    });
  }

  /** Closes both connections without waiting. */
  end(): void {
    this.#secure?.destroy();
    this.#raw.destroy();
    this.#plain.destroy();
    this.#ended();
  }

  /** Starts TLS; undefined where what was asked for is refused at once. */
  #connect({ tls }: TlsBridgeRequest): TLSSocket | undefined {
    const { serverName, authorities } = tls;
    // Which Node takes and its types leave out: a direction may end alone.
    const options: ConnectionOptions & { allowHalfOpen: true } = {
      // TLS takes any stream; the types know sockets only.
      socket: streamOver(this.#raw) as Socket,
      host: serverName,
      // RFC 6066 section 3: an address is no server name.
      servername: isIP(serverName) === 0 ? serverName : "",
      ca: authorities,
      allowHalfOpen: true,
    };
    try {
      this.#secure = connectTls(options);
    } catch (error) {
      this.#break(error instanceof Error ? error.message : String(error));
    }
    return this.#secure;
  }

  /** TLS has failed: before it stood the worker is told why, later it gets a reset. */
  #break(reason: string): void {
    const plain = this.#plain;
    if (plain.destroyed) return;
    if (this.#stands) plain.resetAndDestroy();
    else if (!plain.writableEnded) plain.end(encodeTlsFailure(reason));
  }
}
