/**
 * What the outbounds of a split tunnel lead to:
 *
 *     outbound 0    direct, by the interfaces of the egress
 *     others        a packet tunnel (`client_tunnels.ts`) or a proxy
 *                   (`client_dialers.ts`), as they are attached
 */
import { ClientMessage } from "../core/columns/client_message.ts";
import {
  type ClientEgress,
  OUTBOUNDS,
  type PacketTunnelSetup,
  type PacketTunnelStatus,
} from "../control/client_engine.ts";
import type { DesiredPeer } from "../control/peer_sync.ts";
import type { DialerSetup, OpenedCapture } from "../io/ports.ts";
import type { ClientDialers } from "./client_dialers.ts";
import type { ClientTunnels } from "./client_tunnels.ts";
import type { OwnSockets } from "./own_sockets.ts";
import type { PendingMessages } from "./pending_messages.ts";
import type { StackDevices } from "./stack_devices.ts";

/** What ways are made of. */
export interface ClientWaysOptions {
  readonly tunnels: Pick<
    ClientTunnels,
    "attach" | "detach" | "get" | "passRules" | "followRoutes"
  >;
  readonly dialers: ClientDialers;
  readonly ownSockets: OwnSockets;
  readonly devices: Pick<StackDevices, "loosen"> & {
    readonly outside: Pick<StackDevices["outside"], "setInterface">;
  };
  /** To the stack worker. */
  readonly commands: PendingMessages;
  /** In the place of an interface: what it is to let through. */
  readonly capture: Pick<OpenedCapture, "setPassed"> | undefined;
  /** What it is now; the devices know of its IPv4 already. */
  readonly egress: ClientEgress;
}

const DIRECT = 0;
const NO_BYTES = new Uint8Array(0);

/** See the module header. */
export class ClientWays {
  readonly #options: ClientWaysOptions;
  #egress: ClientEgress;

  constructor(options: ClientWaysOptions) {
    this.#options = options;
    this.#egress = options.egress;
  }

  /** Opens the direct way, before the stack worker starts. */
  openDirect(): void {
    const { devices, dialers } = this.#options;
    devices.outside.setInterface(6, this.#egress.ipv6 ?? 0);
    dialers.setDirect(this.#egress);
  }

  /** Makes a packet tunnel of an outbound. @throws {Error} where it can't be. */
  attachPacketTunnel(outbound: number, setup: PacketTunnelSetup): void {
    this.#checkFree(outbound);
    this.#options.tunnels.attach(outbound, setup);
    this.#passTunnels();
  }

  /** Makes a proxy of an outbound. @throws {Error} where it can't be. */
  attachProxy(outbound: number, setup: DialerSetup): void {
    this.#checkFree(outbound);
    this.#options.dialers.attach(outbound, setup);
  }

  /** Takes away what an outbound has; done once workers have let go of it. */
  async detach(outbound: number): Promise<void> {
    const { tunnels, dialers, commands } = this.#options;
    if (dialers.has(outbound)) {
      commands.post(ClientMessage.Detach, outbound, 0, NO_BYTES);
      dialers.detach(outbound);
      return;
    }
    const gone = tunnels.detach(outbound);
    this.#passTunnels();
    await gone;
  }

  /** Other endpoints or settings of a packet tunnel's peers. */
  updatePeers(outbound: number, peers: readonly DesiredPeer[]): void {
    this.#options.tunnels.get(outbound)?.updatePeers(peers);
    this.#passTunnels();
  }

  /** Starts a handshake with all peers of a packet tunnel. */
  handshakeNow(outbound: number): void {
    this.#options.tunnels.get(outbound)?.handshakeNow();
  }

  /** How a packet tunnel stands. */
  packetStatus(outbound: number): PacketTunnelStatus | undefined {
    return this.#options.tunnels.get(outbound)?.status;
  }

  /** The host's routes may be others; the direct way leaves as said. */
  setEgress(egress: ClientEgress): void {
    const { tunnels, dialers, ownSockets, devices, commands } = this.#options;
    tunnels.followRoutes();
    dialers.followRoutes();
    const { ipv4, ipv6 } = ownSockets.direct(egress);
    if (ipv4 === this.#egress.ipv4 && ipv6 === this.#egress.ipv6) return;
    this.#egress = { ipv4, ipv6 };
    devices.loosen(ipv4);
    devices.loosen(ipv6);
    devices.outside.setInterface(4, ipv4 ?? 0);
    devices.outside.setInterface(6, ipv6 ?? 0);
    dialers.setDirect(this.#egress);
    commands.post(ClientMessage.ResetDirect, 0, 0, NO_BYTES);
  }

  /** Tunnels' own messages need not be looked at. */
  #passTunnels(): void {
    const { capture, tunnels } = this.#options;
    capture?.setPassed("tunnels", tunnels.passRules());
  }

  #checkFree(outbound: number): void {
    if (outbound <= DIRECT || outbound >= OUTBOUNDS) {
      throw new RangeError(`there is no outbound ${outbound}`);
    }
    const { tunnels, dialers } = this.#options;
    if (tunnels.get(outbound) !== undefined || dialers.has(outbound)) {
      throw new Error(`outbound ${outbound} has a way out already`);
    }
  }
}
