/**
 * Ways of a program's direct traffic to a server, each in a network of its own:
 *
 *   no client   program ------------------------- router --- server
 *   client      program --- TUN, sluice client -- router --- server
 */
import { Agent } from "../support/agent.ts";
import { makeGatewayNet, OUTSIDE } from "../support/gateway_net.ts";
import type { Lab, Namespace } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";
import { runSluice, spawnSluice } from "../support/sluice.ts";
import type { ClientStatus, FlowView } from "../../src/control/client_port.ts";

/** Ports of the server: connections that are answered, that are echoed, datagrams. */
export const PORTS = { answer: 8080, echo: 8081, udp: 7 } as const;
/** Answers of the short connections' server. */
export const ANSWER_BYTES = 100;
const ENV = { STATE_DIRECTORY: "/run/state", DENO_NO_UPDATE_CHECK: "1" };

/** A way that stands. */
export interface ClientWay {
  readonly name: string;
  /** The client; undefined where there is none. */
  readonly process: LoggedProcess | undefined;
  readonly host: Namespace;
  /** Where programs run, and what serves them. */
  readonly load: Agent;
  readonly server: Agent;
  readonly address: string;
}

/** What a way is like. */
export interface ClientWayOptions {
  readonly name: string;
  /** The client's rules; undefined for no client. */
  readonly rules: readonly Record<string, unknown>[] | undefined;
  /** That section of the client's config. */
  readonly capture?: Record<string, unknown>;
  /** How many files the client may open; the system's limit without. */
  readonly openFiles?: number;
}

/** A network; with `rules` a client runs in it that sends everything direct. */
export async function startClientWay(
  lab: Lab,
  options: ClientWayOptions,
): Promise<ClientWay> {
  const { name, rules } = options;
  const { gateway: host, internet } = await makeGatewayNet(lab, 0);
  for (const namespace of [host, internet]) {
    await namespace.sysctl("net.ipv4.ip_local_port_range", "1024 65535");
    await namespace.sysctl("net.ipv4.tcp_tw_reuse", 1);
  }
  const server = await Agent.start(internet);
  const address = OUTSIDE.first;
  await server.call("crowdServe", {
    address,
    port: PORTS.answer,
    kind: "answer",
    answerBytes: ANSWER_BYTES,
  });
  await server.call("crowdServe", { address, port: PORTS.echo, kind: "echo" });
  // Apart from the crowd's server, whose loop leaves little time to others.
  const echo = await Agent.start(internet, "udp");
  await echo.call("udpEcho", { address, port: PORTS.udp });
  const process = rules && await startClient(lab, host, options);
  const load = await Agent.start(host);
  return { name, process, host, load, server, address };
}

async function startClient(
  lab: Lab,
  host: Namespace,
  { name, rules, capture = {}, openFiles }: ClientWayOptions,
): Promise<LoggedProcess> {
  await host.run(["mkdir", "-p", "/run/state"]);
  const path = await lab.write(
    `${name.replaceAll(/[^a-z0-9]+/g, "-")}.yaml`,
    JSON.stringify({
      rules,
      default: "direct",
      dns: { policy: "leave" },
      capture,
    }),
  );
  const process = spawnSluice(host, name, {
    args: ["client", "-c", path, "--log-level", "info"],
    env: ENV,
    openFiles,
  });
  await process.waitForLine(/client up:/);
  return process;
}

/** Rules that a program's flow has to pass by until the default takes it. */
export function manyRules(count: number): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, i) => {
    switch (i % 4) {
      case 0:
        return { process: `program${i}`, tunnel: "drop" };
      case 1:
        return {
          destination: `203.0.${i >> 8}.${i & 255}`,
          ports: 443,
          tunnel: "drop",
        };
      case 2:
        return { destination: `*.place${i}.example`, tunnel: "drop" };
      default:
        return {
          directory: `/opt/program${i}`,
          protocol: "udp",
          tunnel: "drop",
        };
    }
  });
}

/** The client's flows to the server's ports that echo. */
export async function heldFlows(way: ClientWay): Promise<FlowView[]> {
  const flows: FlowView[] = await askClient(way, "flows");
  const ends = [PORTS.echo, PORTS.udp].map((port) => `${way.address}:${port}`);
  return flows.filter(({ remote }) => ends.includes(remote));
}

/** What the client says of itself. */
export function statusOf(way: ClientWay): Promise<ClientStatus> {
  return askClient(way, "status");
}

async function askClient(
  { host }: ClientWay,
  verb: "flows" | "status",
) {
  const { stdout, stderr, code } = await runSluice(host, [verb, "--json"], {
    env: ENV,
    timeoutMs: 60_000,
  });
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}
