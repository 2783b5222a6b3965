/**
 * `deno task demo`: the program at work on this machine, in three network
 * namespaces that it makes and that vanish with it.
 *
 *   client --192.0.2.0/24-- gateway --198.51.100.0/24-- internet
 *   sluice connect          sluice server               UDP echo, DNS, sink
 *
 * Sends ping, DNS, UDP and TCP through the tunnel and prints what went where.
 * The exit code is 0 only when all of it held.
 */
import { Agent } from "../tests/support/agent.ts";
import { generateKeyPair } from "../tests/support/keys.ts";
import { Lab, type Namespace } from "../tests/support/lab.ts";
import { missingForLab } from "../tests/support/privileges.ts";
import type { LoggedProcess } from "../tests/support/process.ts";
import {
  PORT,
  runSluice,
  serverConfig,
  spawnSluice,
  TUNNEL,
} from "../tests/support/sluice.ts";
import {
  formatDrops,
  formatTable,
  type Row,
  rowOfTimes,
} from "./demo/table.ts";

const NET = {
  client: "192.0.2.2",
  gateway: "192.0.2.1",
  gatewayOutside: "198.51.100.1",
  host: "198.51.100.10",
  dns: "198.51.100.53",
} as const;
const ECHO_PORT = 7, SINK_PORT = 9, WEB_PORT = 80;
/** The stream, in the largest datagrams that the tunnel takes whole: 84 MB at 334 Mbit/s. */
const STREAM = { size: 1392, count: 60_000, perSecond: 30_000 } as const;
const STREAM_SHARE = 0.9;

interface Demo {
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
async function start(lab: Lab): Promise<Demo> {
  const { client, gateway, internet } = await wire(lab);
  const config = serverConfig(await generateKeyPair(), {
    clients: [],
    config: { dns: { upstreams: [NET.dns] }, forward: { tcp: "reject" } },
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
  await internetAgent.call("udpEcho", { address: NET.host, port: ECHO_PORT });
  await internetAgent.call("tcpServe", {
    address: NET.host,
    port: WEB_PORT,
    greeting: "hello",
  });
  await internetAgent.call("dnsServe", {
    address: NET.dns,
    addresses: { "host.test": NET.host },
  });
  await connect.waitForLine(/handshake done/);
  return {
    client: clientAgent,
    internet: internetAgent,
    sink,
    server,
    connect,
  };
}

async function ping(demo: Demo, what: string, address: string): Promise<Row> {
  const { sent, answers } = await demo.client.call("icmpEcho", {
    address,
    identifier: 4711,
    count: 100,
  });
  return rowOfTimes(
    `ping ${what}`,
    address,
    sent,
    answers.map((answer) => answer.timeMs),
  );
}

async function dns(demo: Demo, transport: "udp" | "tcp"): Promise<Row> {
  const times: number[] = [];
  const sent = 20;
  for (let i = 0; i < sent; i++) {
    const answer = await demo.client.call("dnsQuery", {
      server: TUNNEL.gateway,
      name: "host.test",
      type: "A",
      transport,
      timeoutMs: 2000,
    });
    if (answer?.answers[0] === NET.host) times.push(answer.timeMs);
  }
  return rowOfTimes(
    `DNS by ${transport.toUpperCase()}`,
    `${TUNNEL.gateway}:53`,
    sent,
    times,
  );
}

async function udpEcho(demo: Demo, size: number): Promise<Row> {
  const { sent, times } = await demo.client.call("udpEchoTimes", {
    address: NET.host,
    port: ECHO_PORT,
    size,
    count: 200,
    timeoutMs: 1000,
  });
  return rowOfTimes(
    `UDP echo, ${size} bytes`,
    `${NET.host}:${ECHO_PORT}`,
    sent,
    times,
  );
}

async function udpStream(demo: Demo): Promise<Row> {
  const counted = demo.sink.call("udpSink", {
    address: NET.host,
    port: SINK_PORT,
    idleMs: 300,
    timeoutMs: 5000,
  });
  const sent = await demo.client.call("udpFlood", {
    address: NET.host,
    port: SINK_PORT,
    ...STREAM,
  });
  const { datagrams, bytes, durationMs } = await counted;
  return {
    what: "UDP stream",
    to: `${NET.host}:${SINK_PORT}`,
    sent: sent.datagrams,
    back: datagrams,
    timesMs: [],
    megabitsPerSecond: durationMs > 0 ? bytes * 8 / durationMs / 1000 : 0,
    held: datagrams >= sent.datagrams * STREAM_SHARE,
  };
}

async function tcpAttempt(demo: Demo): Promise<Row> {
  const { outcome, timeMs } = await demo.client.call("tcpConnect", {
    address: NET.host,
    port: WEB_PORT,
    timeoutMs: 3000,
  });
  return {
    what: `TCP: ${outcome}`,
    to: `${NET.host}:${WEB_PORT}`,
    sent: 1,
    back: 0,
    timesMs: [timeMs],
    held: outcome === "refused",
  };
}

/** Runs the demo; false where anything did not hold. */
async function run(): Promise<boolean> {
  await using lab = await Lab.create();
  try {
    const demo = await start(lab);
    const rows = [
      await ping(demo, "the gateway", TUNNEL.gateway),
      await ping(demo, "a host outside", NET.host),
      await dns(demo, "udp"),
      await dns(demo, "tcp"),
      await udpEcho(demo, 64),
      await udpEcho(demo, 1400),
      await udpStream(demo),
      await tcpAttempt(demo),
    ];
    const codes = [await demo.connect.stop(), await demo.server.stop()];
    console.log(formatTable(rows));
    console.log(formatDrops(demo.server.lines));
    const held = rows.every((row) => row.held) &&
      codes.every((code) => code === 0);
    if (!held) console.log(lab.report());
    return held;
  } catch (error) {
    console.log(lab.report());
    throw error;
  }
}

if (import.meta.main) {
  const missing = await missingForLab(["tun"]);
  if (missing !== undefined) {
    console.error(`the demo can't run here: ${missing}`);
    Deno.exit(1);
  }
  const started = performance.now();
  const held = await run();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    held
      ? `all of it held, in ${seconds} s`
      : `not all of it held, after ${seconds} s`,
  );
  Deno.exit(held ? 0 : 1);
}
