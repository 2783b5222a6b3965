/**
 * A connection by a proxy: connect to it, bring TLS between where it speaks
 * that, go through the handshakes, and what is left is the tunnel.
 */
import type { ProxyHandshake } from "../../core/proxy/handshake.ts";
import type {
  Dial,
  DialFailure,
  DialState,
  ProxyPlace,
  ProxyTls,
  SocketOrigin,
  TlsBridgeRequest,
} from "../ports/dialer.ts";
import { SocketError, type StreamSockets } from "../ports/stream_sockets.ts";
import { proxyFailure } from "./dial_failure.ts";
import { HandshakeExchange } from "./handshake_exchange.ts";
import { LoopbackPair } from "./loopback_pair.ts";
import { TlsPrelude } from "./tls_prelude.ts";

/** TLS to a proxy, spoken by another thread. */
export interface TlsToProxy {
  readonly tls: ProxyTls;
  /** Gives both descriptors of the request away. */
  readonly bridge: (request: TlsBridgeRequest) => void;
}

/** How dials reach their proxy; the same for all of a dialer. */
export interface ProxyAccess {
  readonly sockets: StreamSockets;
  readonly proxy: ProxyPlace;
  readonly origin?: SocketOrigin;
  readonly tls?: TlsToProxy;
  /** Bytes for {@linkcode HandshakeExchange}. */
  readonly scratch: Uint8Array<ArrayBuffer>;
}

/** With TLS from «connecting» to «pairing» and «bridging», else to «talking» at once. */
type Stage =
  | "connecting"
  | "pairing"
  | "bridging"
  | "talking"
  | "connected"
  | "failed";

/** One connection in the making. */
export class ProxyDial implements Dial {
  descriptor = -1;
  wants: "read" | "write" = "write";
  failure: DialFailure | undefined;
  readonly #access: ProxyAccess;
  /** Those that are still to be gone through, the current one first. */
  readonly #handshakes: ProxyHandshake[];
  #stage: Stage = "connecting";
  #exchange: HandshakeExchange | undefined;
  /** What comes between us and the proxy where TLS does. */
  #pair: LoopbackPair | undefined;
  /** The connection to the proxy while the pair is made; -1 for none. */
  #proxyEnd = -1;

  constructor(access: ProxyAccess, handshake: ProxyHandshake) {
    this.#access = access;
    this.#handshakes = access.tls === undefined
      ? [handshake]
      : [new TlsPrelude(), handshake];
    if (handshake.failure !== undefined) {
      this.#fail(handshake.failure);
      return;
    }
    const { sockets, proxy, origin } = access;
    const descriptor = sockets.connect(proxy.words, proxy.port, origin);
    if (descriptor < 0) this.#fail(proxyFailure(sockets, descriptor));
    else this.descriptor = descriptor;
  }

  advance(): DialState {
    if (this.#stage === "connecting") this.#connect();
    else if (this.#stage === "pairing") this.#pairUp();
    else if (this.#stage === "bridging") this.#bridge();
    if (this.#stage === "talking") this.#talk();
    return this.#stage === "connected" || this.#stage === "failed"
      ? this.#stage
      : "pending";
  }

  take(): number {
    if (this.#stage !== "connected" || this.descriptor < 0) {
      throw new Error("this dial has no connection to take");
    }
    const taken = this.descriptor;
    this.descriptor = -1;
    return taken;
  }

  [Symbol.dispose](): void {
    const { sockets } = this.#access;
    const isPairs = this.descriptor === this.#pair?.listener;
    if (this.descriptor >= 0 && !isPairs) sockets.close(this.descriptor);
    if (this.#proxyEnd >= 0) sockets.close(this.#proxyEnd);
    this.#pair?.[Symbol.dispose]();
    this.descriptor = this.#proxyEnd = -1;
    if (this.#stage !== "failed") {
      this.#fail({ kind: "system", text: "the dial was given up" });
    }
  }

  #connect(): void {
    const { sockets, tls } = this.#access;
    const result = sockets.connectResult(this.descriptor);
    if (result === -SocketError.InProgress) return;
    if (result < 0) return this.#fail(proxyFailure(sockets, result));
    sockets.noDelay(this.descriptor);
    if (tls === undefined) this.#stage = "talking";
    else this.#openPair();
  }

  /** Puts a pair between us and the proxy. */
  #openPair(): void {
    this.#pair = new LoopbackPair(this.#access.sockets);
    this.#proxyEnd = this.descriptor;
    this.descriptor = this.#pair.listener;
    this.wants = "read";
    this.#stage = "pairing";
    if (this.descriptor < 0) this.#pairUp();
  }

  #pairUp(): void {
    const pair = this.#pair!;
    const result = pair.advance();
    if (result === -SocketError.WouldBlock) return;
    if (result < 0) {
      return this.#fail(proxyFailure(this.#access.sockets, result));
    }
    this.descriptor = pair.takeNear();
    this.wants = "write";
    this.#stage = "bridging";
  }

  /** Nobody waits for the proxy's descriptor or the listener any more. */
  #bridge(): void {
    const { bridge, tls } = this.#access.tls!;
    const pair = this.#pair!;
    const request = {
      proxyDescriptor: this.#proxyEnd,
      plainDescriptor: pair.takeFar(),
      tls,
    };
    pair[Symbol.dispose]();
    this.#pair = undefined;
    this.#proxyEnd = -1;
    this.#stage = "talking";
    bridge(request);
  }

  #talk(): void {
    for (;;) {
      const [handshake] = this.#handshakes;
      this.#exchange ??= new HandshakeExchange(handshake, {
        sockets: this.#access.sockets,
        descriptor: this.descriptor,
        scratch: this.#access.scratch,
      });
      const state = this.#exchange.advance();
      this.wants = this.#exchange.wants;
      if (state === "talking") return;
      if (state === "failed") return this.#fail(handshake.failure!);
      this.#exchange = undefined;
      this.#handshakes.shift();
      if (this.#handshakes.length === 0) {
        this.#stage = "connected";
        return;
      }
    }
  }

  #fail(failure: DialFailure): void {
    this.#stage = "failed";
    this.failure = failure;
  }
}
