/**
 * Ways for TCP from one namespace to another, each with a pair of its own:
 *
 *   bare        programs ------------------------- veth --- server
 *   tun2socks   programs --- TUN, tun2socks ------ veth --- proxy, server
 *   gateway     programs --- tunnel --- gateway -- veth --- server
 *
 * The server has 198.51.100.10; towards the tunnel's own end it has 10.66.0.1.
 */
import { Agent } from "../support/agent.ts";
import { DANTE, DANTE_RUNS, danteConfig } from "../support/dante.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { Lab, Namespace } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";
import { joinByWireguardGo, startScenario } from "../support/scenario.ts";
import { spawnSluice, TUNNEL } from "../support/sluice.ts";
import { waitFor } from "../support/wait.ts";
import type { Ends } from "./measure.ts";

/** Programs that put a TUN interface before a proxy. */
export const STACKS = ["tun2socks", "sluice"] as const;
export type StackName = typeof STACKS[number];
/** Where they send connections: to a SOCKS5 proxy of Debian, or straight. */
export const OUTBOUNDS = ["dante", "microsocks", "direct"] as const;
export type OutboundName = typeof OUTBOUNDS[number];

const NEAR = "10.1.1.2";
const FAR = "10.1.1.1";
const PROXY_PORT = 1080;
const TUN_NAME = "stack0";
const TUN_ADDRESS = "10.77.0.1";
/** Answers of the short connections' server. */
export const ANSWER_BYTES = 100;
const FIRST_ANSWER_PORT = 8080;
/**
 * Each round of short connections goes to another port: tun2socks does not
 * answer the same client port again for a minute, and would stand still.
 */
export const ANSWER_PORTS = 32;

/** A way that stands. */
export interface TcpWay extends Ends {
  readonly name: string;
  /** Whose CPU time and memory it costs; undefined for the bare link. */
  readonly process: LoggedProcess | undefined;
  /** Makes short connections. */
  readonly load: Agent;
  /** Where they go in a round, counted from 1. */
  readonly answerPort: (round: number) => number;
}

/** Programs at both ends of namespaces that are wired. */
async function addLoad(
  way: Pick<TcpWay, "name" | "process" | "client" | "server" | "address">,
  agents: { readonly load?: Agent; readonly far?: Agent } = {},
): Promise<TcpWay> {
  const load = agents.load ?? await Agent.start(way.client);
  const far = agents.far ?? await Agent.start(way.server);
  for (let i = 0; i < ANSWER_PORTS; i++) {
    await far.call("crowdServe", {
      address: way.address,
      port: FIRST_ANSWER_PORT + i,
      kind: "answer",
      answerBytes: ANSWER_BYTES,
    });
  }
  const answerPort = (round: number) =>
    FIRST_ANSWER_PORT + round % ANSWER_PORTS;
  return { ...way, load, answerPort };
}

/** Ports for tens of thousands of connections a minute to one place. */
async function sparePorts(namespace: Namespace): Promise<void> {
  await namespace.sysctl("net.ipv4.ip_local_port_range", "1024 65535");
  await namespace.sysctl("net.ipv4.tcp_tw_reuse", 1);
}

async function wire(lab: Lab, name: string) {
  const [client, server] = await Promise.all([
    lab.namespace(`${name}-near`),
    lab.namespace(`${name}-far`),
  ]);
  await lab.link(
    { namespace: client, name: "eth0", addresses: [`${NEAR}/24`] },
    { namespace: server, name: "eth0", addresses: [`${FAR}/24`] },
  );
  await Promise.all([client, server].map(sparePorts));
  await server.ip(`address add ${OUTSIDE.first}/32 dev lo`);
  await client.ip(`route add ${OUTSIDE.first}/32 via ${FAR} metric 500`);
  return { client, server };
}

/** The bare link. */
export async function startBare(lab: Lab): Promise<TcpWay> {
  const { client, server } = await wire(lab, "veth");
  await client.waitUntilReaches(OUTSIDE.first);
  return await addLoad({
    name: "veth",
    process: undefined,
    client,
    server,
    address: OUTSIDE.first,
  });
}

/** How to start a stack. */
export interface StackOptions {
  readonly name: StackName;
  readonly outbound: OutboundName;
  /** The other's program. */
  readonly tun2socks: string | undefined;
}

/** A TUN interface whose connections go out by a proxy or straight. */
export async function startStack(
  lab: Lab,
  options: StackOptions,
): Promise<TcpWay> {
  const { name, outbound } = options;
  const { client, server } = await wire(lab, name);
  if (outbound === "microsocks") {
    server.spawn("microsocks", [
      "microsocks",
      ...["-i", FAR, "-p", String(PROXY_PORT)],
    ]);
  } else if (outbound === "dante") {
    const config = danteConfig({
      address: FAR,
      port: PROXY_PORT,
      external: [FAR],
    }).replaceAll(" connect disconnect", ""); // no line for each connection
    const path = await lab.write(`danted-${name}.conf`, config, 0o644);
    await server.spawn("dante", [DANTE, "-f", path]).waitForLine(DANTE_RUNS);
  }
  const url = outbound === "direct"
    ? "direct://"
    : `socks5://${FAR}:${PROXY_PORT}`;
  const process = name === "sluice"
    ? await startOurs(client, url)
    : await startTheirs(client, options.tun2socks!, url);
  return await addLoad({
    name,
    process,
    client,
    server,
    address: OUTSIDE.first,
  });
}

async function startOurs(
  client: Namespace,
  url: string,
): Promise<LoggedProcess> {
  const process = spawnSluice(client, "tun2socks", {
    args: [
      "tun2socks",
      ...["-x", url, "-i", TUN_ADDRESS, "-n", TUN_NAME],
      ...["--route", `${OUTSIDE.first}/32`, "--egress", "eth0"],
    ],
  });
  await process.waitForLine(/TUN adapter .*stack0/);
  return process;
}

async function startTheirs(
  client: Namespace,
  program: string,
  url: string,
): Promise<LoggedProcess> {
  const process = client.spawn("tun2socks", [
    program,
    ...["-device", `tun://${TUN_NAME}`, "-proxy", url],
    ...["-interface", "eth0", "-loglevel", "error", "-mtu", "1500"],
  ]);
  await waitFor(
    "tun2socks to have its interface",
    async () => (await client.interfaces()).includes(TUN_NAME),
  );
  await client.ip(
    `address add ${TUN_ADDRESS}/24 dev ${TUN_NAME}`,
    `link set ${TUN_NAME} up`,
    `route add ${OUTSIDE.first}/32 dev ${TUN_NAME}`,
  );
  return process;
}

/**
 * A wireguard-go client's tunnel: to the gateway itself, and through its relay
 * to the outside. Both are the same processes.
 */
export async function startGatewayWays(lab: Lab): Promise<TcpWay[]> {
  const { net, server, clients } = await startScenario(lab, {
    config: { forward: { tcp: "proxy" } },
    logLevel: "info",
  });
  const [place] = net.clients;
  await Promise.all(
    [place.namespace, net.gateway, net.internet].map(sparePorts),
  );
  await joinByWireguardGo(server, place, clients[0]);
  const { process } = server;
  const client = place.namespace;
  const tunnel = await addLoad({
    name: "tunnel to the gateway",
    process,
    client,
    server: net.gateway,
    address: TUNNEL.gateway,
  });
  const relayed = await addLoad({
    name: "through its relay",
    process,
    client,
    server: net.internet,
    address: OUTSIDE.first,
  }, { load: tunnel.load });
  return [tunnel, relayed];
}
