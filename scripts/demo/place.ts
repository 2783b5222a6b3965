/** The demo's place: three network namespaces, both ends of the tunnel, hosts outside. */
import { Agent } from "../../tests/support/agent.ts";
import { generateKeyPair } from "../../tests/support/keys.ts";
import type { Lab, Namespace } from "../../tests/support/lab.ts";
import type { LoggedProcess } from "../../tests/support/process.ts";
import {
  PORT,
  runSluice,
  serverConfig,
  spawnSluice,
} from "../../tests/support/sluice.ts";

/** Addresses. */
export const NET = {
  client: "192.0.2.2",
  gateway: "192.0.2.1",
  gatewayOutside: "198.51.100.1",
  host: "198.51.100.10",
  dns: "198.51.100.53",
} as const;
/** What listens at the host outside, and what does not. */
export const PORTS = { echo: 7, sink: 9, web: 80, closed: 81 } as const;
/** What the web server says first. */
export const GREETING = "hello";

/** What runs. */
export interface Demo {
  readonly places: Record<"client" | "internet", Namespace>;
  readonly client: Agent;
  readonly internet: Agent;
  readonly sink: Agent;
  readonly server: LoggedProcess;
  readonly connect: LoggedProcess;
}

async function wire(
  lab: Lab,
): Promise<Record<"client" | "gateway" | "internet", Namespace>> {
  const [client, gateway, internet] = await Promise.all(
    ["client", "gateway", "internet"].map((name) => lab.namespace(name)),
  );
  await lab.link(
    { namespace: client, name: "eth0", addresses: [`${NET.client}/24`] },
    { namespace: gateway, name: "clients", addresses: [`${NET.gateway}/24`] },
  );
  await lab.link(
    {
      namespace: gateway,
      name: "out",
      addresses: [`${NET.gatewayOutside}/24`],
    },
    {
      namespace: internet,
      name: "eth0",
      addresses: [`${NET.host}/24`, `${NET.dns}/24`],
    },
  );
  return { client, gateway, internet };
}

/** Starts both ends of the tunnel as a user would, and the hosts outside. */
export async function startDemo(lab: Lab): Promise<Demo> {
  const { client, gateway, internet } = await wire(lab);
  const config = serverConfig(await generateKeyPair(), {
    clients: [],
    config: { dns: { upstreams: [NET.dns] }, forward: { tcp: "proxy" } },
  });
  const path = await lab.write(
    "server.yaml",
    JSON.stringify(config, undefined, 2),
  );
  const server = spawnSluice(gateway, "server", {
    args: ["server", "-c", path],
  });
  await server.waitForLine(/gateway up:/);
  const conf = `${lab.directory}/laptop.conf`;
  const added = await runSluice(gateway, [
    "peer",
    ...[
      "add",
      "laptop",
      "-c",
      path,
      "--conf",
      conf,
      "--endpoint",
      `${NET.gateway}:${PORT}`,
    ],
  ]);
  if (added.code !== 0) throw new Error(added.stderr);
  await server.waitForLine(/added laptop/);
  const connect = spawnSluice(client, "connect", { args: ["connect", conf] });
  const [clientAgent, internetAgent, sink] = await Promise.all([
    Agent.start(client),
    Agent.start(internet),
    Agent.start(internet, "sink"),
    connect.waitForLine(/tunnel up:/),
  ]);
  await internetAgent.call("udpEcho", { address: NET.host, port: PORTS.echo });
  await internetAgent.call("tcpServe", {
    address: NET.host,
    port: PORTS.web,
    greeting: GREETING,
  });
  await internetAgent.call("dnsServe", {
    address: NET.dns,
    addresses: { "host.test": NET.host },
  });
  await connect.waitForLine(/handshake done/);
  return {
    places: { client, internet },
    client: clientAgent,
    internet: internetAgent,
    sink,
    server,
    connect,
  };
}
