/**
 * The dialers of a split tunnel on the control thread: the direct way and the
 * proxies, as the relay worker is told of them (`client_outbounds.ts` is its
 * side). Each says where its sockets start, so that they leave past the capture.
 */
import { RelayMessage } from "../core/columns/relay_message.ts";
import type { ClientEgress } from "../control/client_engine.ts";
import { encodeRingJson } from "../datapath/ring_json.ts";
import type { DialerSetup } from "../io/ports.ts";
import type { PostedDialer } from "./client_outbounds.ts";
import type { OwnSockets } from "./own_sockets.ts";
import type { PendingMessages } from "./pending_messages.ts";

type ProxySetup = Exclude<DialerSetup, { kind: "direct" }>;

const DIRECT = 0;
const NO_BYTES = new Uint8Array(0);

/** See the module header. */
export class ClientDialers {
  readonly #ownSockets: OwnSockets;
  readonly #commands: PendingMessages;
  /** Proxies by outbound, with the place where their sockets start. */
  readonly #proxies = new Map<number, ProxySetup>();

  /** @param commands to the relay worker. */
  constructor(ownSockets: OwnSockets, commands: PendingMessages) {
    this.#ownSockets = ownSockets;
    this.#commands = commands;
  }

  /** Whether an outbound is a proxy. */
  has(outbound: number): boolean {
    return this.#proxies.has(outbound);
  }

  /** Makes the direct way one that leaves by these interfaces. */
  setDirect({ ipv4, ipv6 }: ClientEgress): void {
    this.#post(DIRECT, {
      kind: "direct",
      origin: this.#ownSockets.leavingBy(ipv4),
      origin6: this.#ownSockets.leavingBy(ipv6),
    });
  }

  /** Makes an outbound a proxy. @throws {Error} where it is none. */
  attach(outbound: number, setup: DialerSetup): void {
    if (setup.kind === "direct") throw new Error("direct is no proxy");
    const origin = this.#ownSockets.towards(setup.proxy.words);
    const posted = { ...setup, origin };
    this.#proxies.set(outbound, posted);
    this.#post(outbound, posted);
  }

  /** Takes a proxy away. */
  detach(outbound: number): void {
    this.#proxies.delete(outbound);
    this.#commands.post(RelayMessage.Detach, outbound, 0, NO_BYTES);
  }

  /** What is bound to an interface is bound to the one that leads there now. */
  followRoutes(): void {
    for (const [outbound, setup] of this.#proxies) {
      const { interfaceIndex } = this.#ownSockets.towards(setup.proxy.words);
      if (interfaceIndex === setup.origin?.interfaceIndex) continue;
      this.attach(outbound, setup);
    }
  }

  #post(outbound: number, setup: DialerSetup): void {
    const posted: PostedDialer = { setup };
    const bytes = encodeRingJson(posted);
    this.#commands.post(RelayMessage.Attach, outbound, 0, bytes);
  }
}
