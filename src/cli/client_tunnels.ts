/**
 * The packet tunnels of a split tunnel on the control thread: each has a slot of
 * tables that it shares with the stack worker.
 *
 *     attach    a free slot, its tables cleared -> the worker opens it
 *     detach    the worker is told; the slot is free again once it has let go
 */
import { ClientMessage } from "../core/columns/client_message.ts";
import {
  attachTunnelTables,
  clearTunnel,
  type ClientState,
} from "../datapath/client_state.ts";
import { encodeRingJson } from "../datapath/ring_json.ts";
import type { PacketTunnelSetup } from "../control/client_engine.ts";
import { ClientTunnel, type ClientTunnelOptions } from "./client_tunnel.ts";
import type { PassRule } from "../io/ports.ts";
import type { PendingMessages } from "./pending_messages.ts";

/** What tunnels are made with. */
export interface ClientTunnelsOptions extends
  Pick<
    ClientTunnelOptions,
    "platform" | "ownSockets" | "mark" | "crypto" | "timers" | "now"
  > {
  readonly state: ClientState;
  /** To the stack worker. */
  readonly commands: PendingMessages;
  readonly onHandshake: (
    outbound: number,
    result: "established" | "abandoned",
  ) => void;
}

interface Leaving {
  readonly tunnel: ClientTunnel;
  readonly gone: () => void;
}

const NO_BYTES = new Uint8Array(0);

/** See the module header. */
export class ClientTunnels implements Disposable {
  readonly #options: ClientTunnelsOptions;
  readonly #tunnels = new Map<number, ClientTunnel>();
  /** Slots that nobody uses. */
  readonly #slots: number[];
  /** Tunnels that the worker has not let go of, by slot. */
  readonly #leaving = new Map<number, Leaving>();

  constructor(options: ClientTunnelsOptions) {
    this.#options = options;
    this.#slots = options.state.tunnels.map((_, slot) => slot);
  }

  /** Own sockets and their remotes, where packets are captured on their way. */
  passRules(): PassRule[] {
    return [...this.#tunnels.values()].flatMap((tunnel) => tunnel.passRules());
  }

  /** The tunnel of an outbound. */
  get(outbound: number): ClientTunnel | undefined {
    return this.#tunnels.get(outbound);
  }

  /** Makes a tunnel of an outbound that has none. @throws {Error} where it can't be. */
  attach(outbound: number, setup: PacketTunnelSetup): void {
    const { state, commands, onHandshake, ...common } = this.#options;
    const slot = this.#slots.pop();
    if (slot === undefined) throw new Error("there are too many tunnels");
    clearTunnel(state, slot);
    let tunnel: ClientTunnel;
    try {
      tunnel = new ClientTunnel({
        ...common,
        setup,
        slot,
        tables: attachTunnelTables(state, slot),
        onHandshake: (result) => onHandshake(outbound, result),
        onDrop: () => {},
      });
    } catch (error) {
      this.#slots.push(slot);
      throw error;
    }
    this.#tunnels.set(outbound, tunnel);
    const posted = encodeRingJson(tunnel.posted);
    commands.post(ClientMessage.Attach, outbound, slot, posted);
    tunnel.start();
  }

  /** The host's routes may be others. */
  followRoutes(): void {
    for (const tunnel of this.#tunnels.values()) tunnel.followRoutes();
  }

  /** Ends a tunnel, if there is one; done once the worker has let go of it. */
  async detach(outbound: number): Promise<void> {
    const tunnel = this.#tunnels.get(outbound);
    if (tunnel === undefined) return;
    this.#tunnels.delete(outbound);
    tunnel.stop();
    const gone = Promise.withResolvers<void>();
    this.#leaving.set(tunnel.slot, { tunnel, gone: gone.resolve });
    this.#options.commands.post(ClientMessage.Detach, outbound, 0, NO_BYTES);
    await gone.promise;
  }

  /** The worker has let go of a slot. */
  detached(slot: number): void {
    const leaving = this.#leaving.get(slot);
    if (leaving === undefined) return;
    this.#leaving.delete(slot);
    leaving.tunnel[Symbol.dispose]();
    this.#slots.push(slot);
    leaving.gone();
  }

  /** Nothing is sent any more. */
  stop(): void {
    for (const tunnel of this.#tunnels.values()) tunnel.stop();
  }

  /** Closes all, the worker having ended. */
  [Symbol.dispose](): void {
    for (const tunnel of this.#tunnels.values()) tunnel[Symbol.dispose]();
    for (const { tunnel, gone } of this.#leaving.values()) {
      tunnel[Symbol.dispose]();
      gone();
    }
  }
}
