/**
 * The parts of a running split tunnel's packet side, made and bound together;
 * {@linkcode ClientProcess} starts, uses and ends them.
 */
import type { Ring } from "../core/columns/ring.ts";
import {
  PROTOCOL_TIMERS,
  type TimerConstants,
} from "../core/wireguard/timers.ts";
import type { ClientEgress, ClientEvents } from "../control/client_engine.ts";
import {
  attachClientTables,
  type ClientTables,
  createClientState,
} from "../datapath/client_state.ts";
import type { AeadName } from "../datapath/crypto/select_aead.ts";
import type { Platform } from "../io/platform.ts";
import type { HostNetwork, OpenedCapture, Wake } from "../io/ports.ts";
import { ClientDialers } from "./client_dialers.ts";
import { ClientFlows } from "./client_flows.ts";
import { ClientNews } from "./client_news.ts";
import { ClientTunnels } from "./client_tunnels.ts";
import { ClientWays } from "./client_ways.ts";
import { ClientWorkers } from "./client_workers.ts";
import { OwnSockets } from "./own_sockets.ts";
import { PendingMessages } from "./pending_messages.ts";
import {
  addressesOf,
  clientInterface,
  clientSizes,
  type ClientTun,
  FLOW_LIMITS,
  type FlowLimits,
} from "./split_tunnel_setup.ts";
import { StackDevices } from "./stack_devices.ts";
import { chooseRelayPlace } from "./tun2socks_setup.ts";

/** What a client is made of. */
export interface ClientPartsOptions {
  readonly platform: Platform;
  readonly network: HostNetwork;
  readonly tun: ClientTun;
  /**
   * In the place of the interface: packets captured on their way, which begin to
   * come when the caller starts it. Owned from now on.
   */
  readonly capture?: OpenedCapture;
  /** TCP ports that others may call at, where there is a capture. */
  readonly answeredPorts?: readonly number[];
  /**
   * The mark of all sockets of our own (SO_MARK): policy routing excepts it; 0
   * for none. Where the system has none they are bound to interfaces.
   */
  readonly mark: number;
  readonly egress: ClientEgress;
  readonly events: ClientEvents;
  /** Whether dropped packets are told to `onDrop`. */
  readonly trace: boolean;
  /** Those that differ from {@linkcode FLOW_LIMITS}. */
  readonly limits?: Partial<FlowLimits>;
  /** What becomes of what programs send in pieces; `follow` without. */
  readonly fragments?: "follow" | "drop";
  readonly crypto?: AeadName;
  /** Those of packet tunnels. */
  readonly timers?: TimerConstants;
}

/** The parts. */
export interface ClientParts {
  /** The workers' clock, in ms. */
  readonly now: () => number;
  readonly tables: ClientTables;
  readonly devices: StackDevices;
  /** To the stack worker. */
  readonly commands: PendingMessages;
  readonly relayCommands: PendingMessages;
  readonly tunnels: ClientTunnels;
  readonly ways: ClientWays;
  readonly flows: ClientFlows;
  readonly workers: ClientWorkers;
  readonly news: ClientNews;
}

/**
 * Makes the interface and all that stands on it; no worker runs yet.
 * @throws {TunError | Error} with nothing left behind.
 */
export function openClientParts(options: ClientPartsOptions): ClientParts {
  const { platform, network, tun, capture, mark, events, trace } = options;
  const { crypto = "auto", timers = PROTOCOL_TIMERS } = options;
  const { fragments = "follow", answeredPorts = [] } = options;
  const limits = { ...FLOW_LIMITS, ...options.limits };
  const { ownPackets } = platform;
  const ownSockets = new OwnSockets({ ownPackets, network, mark });
  const egress = ownSockets.direct(options.egress);
  const now = platform.openClock();
  const place = chooseRelayPlace(
    { addresses: addressesOf(tun), routes: [] },
    network,
  );
  const state = createClientState(clientSizes(limits));
  const tables = attachClientTables(state);
  const devices = new StackDevices({
    platform,
    network,
    config: capture ?? clientInterface(tun, place),
    place,
    egress: egress.ipv4,
    mark,
    mappings: state.sizes.nat.capacity,
    onLoosened: (result) => {
      if (result.kind !== "refused") return;
      events.onLine(
        `${result.interface} may not let in all answers: ${result.reason}`,
      );
    },
  });
  const commands = sending(tables.commands, devices.wake);
  const relayCommands = sending(tables.relayCommands, devices.relay.wake);
  const tunnels = new ClientTunnels({
    platform,
    mark,
    crypto,
    timers,
    now,
    ownSockets,
    state,
    commands,
    onHandshake: (outbound, result) => events.onHandshake(outbound, result),
  });
  return {
    now,
    tables,
    devices,
    commands,
    relayCommands,
    tunnels,
    ways: new ClientWays({
      tunnels,
      dialers: new ClientDialers(ownSockets, relayCommands),
      ownSockets,
      devices,
      commands,
      capture,
      egress,
    }),
    flows: new ClientFlows(tables.flows, commands),
    workers: new ClientWorkers({
      devices,
      state,
      stop: tables.stop,
      tun,
      place,
      limits,
      fragments,
      answeredPorts,
      crypto,
      trace,
      events,
    }),
    news: new ClientNews(tables, {
      events,
      onDetached: (slot) => tunnels.detached(slot),
    }),
  };
}

function sending(ring: Ring, wake: Wake): PendingMessages {
  return new PendingMessages(ring, () => wake.signal());
}
