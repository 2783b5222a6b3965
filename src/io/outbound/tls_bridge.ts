/**
 * TLS to proxies, for workers that block in calls and so have no event loop.
 *
 *     relay worker                      control thread
 *     one end of a pair ── plain ── the other end ── TLS ── the proxy
 *
 * The worker connects to the proxy itself (its own address, interface, mark),
 * and hands the connection over with the other end of the pair. The first bytes
 * it gets back are the prelude (tls_prelude.ts); ends are passed on both ways.
 */
import { Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { TlsBridgeRequest } from "../ports/dialer.ts";
import { encodeTlsFailure, encodeTlsStands } from "./tls_prelude.ts";

/** The bridges of a process; used by its control thread. */
export class TlsBridges implements Disposable {
  readonly #open = new Set<Bridge>();

  /** How many stand or are being made. */
  get count(): number {
    return this.#open.size;
  }

  /** Takes both descriptors over and speaks TLS between them. Never throws. */
  open(request: TlsBridgeRequest): void {
    const bridge = new Bridge(request, () => this.#open.delete(bridge));
    this.#open.add(bridge);
    bridge.start();
  }

  /** Ends all of them at once. */
  [Symbol.dispose](): void {
    for (const bridge of [...this.#open]) bridge.end();
  }
}

class Bridge {
  readonly #plain: Socket;
  readonly #secure: TLSSocket;
  readonly #raw: Socket;
  readonly #ended: () => void;
  #stands = false;

  constructor(
    { proxyDescriptor, plainDescriptor, tls }: TlsBridgeRequest,
    ended: () => void,
  ) {
    this.#ended = ended;
    this.#plain = openSocket(plainDescriptor);
    this.#raw = openSocket(proxyDescriptor);
    const { serverName, authorities } = tls;
    this.#secure = connectTls({
      socket: this.#raw,
      host: serverName,
      servername: serverName,
      ca: authorities,
    });
  }

  start(): void {
    const plain = this.#plain;
    const secure = this.#secure;
    // Nothing comes before the prelude; reading tells that the worker gave up.
    const giveUp = () => this.end();
    plain.once("end", giveUp);
    plain.resume();
    plain.on("error", () => {
      this.#raw.resetAndDestroy();
      this.end();
    });
    plain.once("close", giveUp);
    secure.once("secureConnect", () => {
      this.#stands = true;
      plain.off("end", giveUp);
      plain.write(encodeTlsStands());
      plain.pipe(secure);
      secure.pipe(plain);
    });
    // Its errors are TLS's as well; unheard they would end the process.
    this.#raw.on("error", () => {});
    secure.on("error", (error) => this.#break(error.message));
    secure.once("close", () => {
      if (!secure.readableEnded) this.#break("the proxy closed the connection");
    });
  }

  /** TLS has failed: before it stood the worker is told why, later it gets a reset. */
  #break(reason: string): void {
    if (this.#plain.destroyed) return;
    if (this.#stands) this.#plain.resetAndDestroy();
    else if (!this.#plain.writableEnded) {
      this.#plain.end(encodeTlsFailure(reason));
    }
  }

  /** Closes both connections, the one to the proxy without waiting for it. */
  end(): void {
    this.#secure.destroy();
    this.#raw.destroy();
    this.#plain.destroy();
    this.#ended();
  }
}

/** A socket of Node's over a descriptor, which it owns from then on. */
function openSocket(fd: number): Socket {
  return new Socket({
    fd,
    readable: true,
    writable: true,
    allowHalfOpen: true,
  });
}
