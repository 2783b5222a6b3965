/** What most scenarios start from: the network, a server, clients that are connected. */
import type { ClientPlace, GatewayNet } from "./gateway_net.ts";
import { makeGatewayNet, OUTSIDE } from "./gateway_net.ts";
import type { Lab } from "./lab.ts";
import { Agent } from "./agent.ts";
import {
  CLIENT_ALLOWED_IPS,
  type ClientIdentity,
  makeClient,
  PORT,
  type Server,
  type ServerOptions,
  startServer,
  TUNNEL,
} from "./sluice.ts";
import { startWireguardGo, type WireguardGo } from "./wireguard_go.ts";
import type { Need } from "./privileges.ts";

/** What a scenario with wireguard-go clients needs. */
export const WIREGUARD_NEEDS: readonly Need[] = [
  "tun",
  "wireguard-go",
  { program: "wg" },
  { program: "ping" },
];

/** A gateway with as many clients as places, none connected yet. */
export interface Scenario {
  readonly net: GatewayNet;
  readonly server: Server;
  readonly clients: readonly ClientIdentity[];
}

/** Makes the network and starts `sluice server` in it. */
export async function startScenario(
  lab: Lab,
  options: Partial<ServerOptions> & { readonly clientCount?: number } = {},
): Promise<Scenario> {
  const clientCount = options.clientCount ?? options.clients?.length ?? 1;
  const net = await makeGatewayNet(lab, clientCount);
  const clients = options.clients ??
    await Promise.all(
      Array.from({ length: clientCount }, (_, i) => makeClient(i + 1)),
    );
  const server = await startServer(net.gateway, { ...options, clients });
  return { net, server, clients };
}

/** Connects a client by wireguard-go and waits until the gateway answers it. */
export async function joinByWireguardGo(
  server: Pick<Server, "keys">,
  place: ClientPlace,
  client: ClientIdentity,
): Promise<WireguardGo> {
  const tunnel = await startWireguardGo(
    place.namespace,
    wireguardGoClient(server, place, client),
  );
  await place.namespace.waitUntilReaches(TUNNEL.gateway);
  return tunnel;
}

/** The settings of a wireguard-go that is a client of the server. */
export function wireguardGoClient(
  server: Pick<Server, "keys">,
  place: ClientPlace,
  client: ClientIdentity,
): Parameters<typeof startWireguardGo>[1] {
  return {
    privateKey: client.privateKey,
    addresses: [`${client.address}/24`, `${client.address6}/64`],
    peers: [{
      publicKey: server.keys.publicKey,
      presharedKey: client.presharedKey,
      endpoint: `${place.gateway}:${PORT}`,
      allowedIps: CLIENT_ALLOWED_IPS,
      persistentKeepalive: client.persistentKeepalive,
    }],
  };
}

/** The settings of a wireguard-go that is the server of clients. */
export function wireguardGoServer(
  keys: { readonly privateKey: string },
  clients: readonly ClientIdentity[],
): Parameters<typeof startWireguardGo>[1] {
  return {
    privateKey: keys.privateKey,
    listenPort: PORT,
    addresses: [`${TUNNEL.gateway}/24`, `${TUNNEL.gateway6}/64`],
    peers: clients.map((client) => ({
      publicKey: client.publicKey,
      presharedKey: client.presharedKey,
      allowedIps: [`${client.address}/32`, `${client.address6}/128`],
    })),
  };
}

/** A scenario whose clients are connected by wireguard-go, with agents everywhere. */
export interface ConnectedScenario extends Scenario {
  /** One for each client. */
  readonly agents: readonly Agent[];
  readonly outside: Agent;
}

/** Starts all of it; the internet's first address serves UDP echo at port 7. */
export async function startConnectedScenario(
  lab: Lab,
  options: Partial<ServerOptions> & { readonly clientCount?: number } = {},
): Promise<ConnectedScenario> {
  const scenario = await startScenario(lab, options);
  const { net, server, clients } = scenario;
  const [outside, ...agents] = await Promise.all([
    Agent.start(net.internet),
    ...net.clients.map(async (place, i) => {
      await joinByWireguardGo(server, place, clients[i]);
      return await Agent.start(place.namespace);
    }),
  ]);
  await outside.call("udpEcho", { address: OUTSIDE.first, port: 7 });
  return { ...scenario, agents, outside };
}

/** What `ping` counted. */
export interface PingResult {
  readonly sent: number;
  readonly received: number;
}

/** Reads the summary of `ping -q`. */
export function parsePing(output: string): PingResult {
  const match = output.match(/([0-9]+) packets transmitted, ([0-9]+) received/);
  if (!match) throw new Error(`no summary of ping in: ${output}`);
  return { sent: Number(match[1]), received: Number(match[2]) };
}

/** Pings `count` times and gives what `ping` counted. */
export async function ping(
  place: ClientPlace,
  address: string,
  options: {
    readonly count: number;
    /** Pause between two, in seconds. */
    readonly interval?: number;
    readonly more?: readonly string[];
  },
): Promise<PingResult> {
  const { count, interval = 0.2, more = [] } = options;
  const { stdout } = await place.namespace.run([
    "ping",
    ...["-n", "-q", "-W", "2", "-c", String(count), "-i", String(interval)],
    ...more,
    address,
  ], { exit: "any", timeoutMs: count * interval * 1000 + 30_000 });
  return parsePing(stdout);
}
