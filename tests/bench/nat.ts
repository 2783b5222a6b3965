/**
 * `deno run -A tests/bench/nat.ts`: UDP of one client through the gateway's NAT
 * to a host outside, beside the same through the tunnel alone, to the gateway's
 * own host; in turns, both ways.
 *
 *     client ==== sluice ==== gateway ---- outside
 *                   plain: to 10.66.0.1 | nat: to 198.51.100.10
 *
 * All of it shares this machine's processors. Needs root and /dev/net/tun.
 */
import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { denoRun } from "../support/agent.ts";
import { Lab, type Namespace } from "../support/lab.ts";
import { missingForLab } from "../support/privileges.ts";
import type { LoggedProcess } from "../support/process.ts";
import {
  makeClient,
  PORT,
  startConnect,
  startServer,
  TUNNEL,
} from "../support/sluice.ts";
import type { LoadOptions, LoadResult } from "./nat_load.ts";
import { formatSeries, writeSection } from "./report.ts";
import type { Series } from "./throughput.ts";

const LOAD = new URL("./nat_load.ts", import.meta.url).pathname;
const OUTSIDE = "198.51.100.10";
const PATHS = ["plain", "nat"] as const;
type Path = typeof PATHS[number];

/** A direction as the client sees it. */
type Way = "up" | "down";

/** Sizes of UDP payloads; the first makes an IP packet of 1,400 bytes. */
const SIZES = [1372, 200] as const;

interface Stage {
  readonly client: Namespace;
  readonly gateway: Namespace;
  readonly outside: Namespace;
  readonly server: LoggedProcess;
  readonly connect: LoggedProcess;
}

/** One measurement. */
interface Measured {
  readonly kpps: number;
  readonly gigabits: number;
  readonly lostShare: number;
  /** Processor time of the gateway's process per packet delivered, in µs. */
  readonly serverMicros: number;
}

async function stage(lab: Lab): Promise<Stage> {
  const [client, gateway, outside] = await Promise.all(
    ["client", "gateway", "outside"].map((name) => lab.namespace(name)),
  );
  await lab.link(
    { namespace: client, name: "eth0", addresses: ["192.0.2.2/24"] },
    { namespace: gateway, name: "clients", addresses: ["192.0.2.1/24"] },
  );
  await lab.link(
    { namespace: gateway, name: "out", addresses: ["198.51.100.1/24"] },
    { namespace: outside, name: "eth0", addresses: [`${OUTSIDE}/24`] },
  );
  const identity = await makeClient(1);
  const server = await startServer(gateway, {
    clients: [identity],
    logLevel: "info",
  });
  const connect = await startConnect(client, {
    client: identity,
    serverKey: server.keys.publicKey,
    endpoint: `192.0.2.1:${PORT}`,
    allowedIps: ["10.66.0.0/24", "198.51.100.0/24"],
  });
  await client.waitUntilReaches(OUTSIDE);
  return {
    client,
    gateway,
    outside,
    server: server.process,
    connect: connect.process,
  };
}

let port = 7000;

async function measure(
  stage: Stage,
  path: Path,
  way: Way,
  bytes: number,
  options: { readonly seconds: number; readonly window: number },
): Promise<Measured> {
  const { client, gateway, outside, server } = stage;
  const far = path === "plain" ? gateway : outside;
  const common = {
    address: path === "plain" ? TUNNEL.gateway : OUTSIDE,
    port: ++port,
    bytes,
    window: options.window,
    warmUpMs: 500,
    countedMs: options.seconds * 1000,
  };
  const end = (options: LoadOptions) => denoRun(LOAD, JSON.stringify(options));
  const waiting = end({
    ...common,
    role: way === "up" ? "sink" : "source",
    opens: "waits",
  });
  const calling = end({
    ...common,
    role: way === "up" ? "source" : "sink",
    opens: "calls",
  });
  const timeoutMs = options.seconds * 1000 + 20_000;
  const before = await processorSeconds(server.pid);
  const [there, here] = await Promise.all([
    far.run(waiting, { timeoutMs }),
    client.run(calling, { timeoutMs }),
  ]);
  const spent = await processorSeconds(server.pid) - before;
  const result: LoadResult = JSON.parse(
    (way === "up" ? there : here).stdout,
  );
  const perSecond = result.packets / (result.elapsedMs / 1000);
  return {
    kpps: perSecond / 1000,
    gigabits: perSecond * bytes * 8 / 1e9,
    lostShare: 1 - result.total / result.sent,
    serverMicros: spent * 1e6 / result.total,
  };
}

/** User and system time of a process so far. */
async function processorSeconds(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("a number above 0");
  return value;
}

const command = new Command("nat")
  .description("measure UDP through the gateway's NAT beside the bare tunnel")
  .option("--rounds <n>", "how often", positive, 3)
  .option("--seconds <n>", "length of each measurement", positive, 2)
  .option("--window <n>", "datagrams on the way at once", positive, 1024)
  .option("--ways <list>", "up, down", (text) => text.split(",") as Way[], [
    "up",
    "down",
  ] as Way[])
  .option("--write <title>", "keep the table in RESULTS.md under this title");

if (import.meta.main) {
  const options = command.parse(Deno.args, { from: "user" }).opts();
  const missing = await missingForLab(["tun", { program: "ping" }]);
  if (missing !== undefined) {
    console.error(`can't measure here: ${missing}`);
    Deno.exit(1);
  }
  await using lab = await Lab.create();
  const ends = await stage(lab);
  const series = new Map<string, Series>();
  const record = (
    path: Path,
    [name, unit, better]: readonly [string, string, Series["better"]],
    value: number,
  ) => {
    const row = series.get(name) ?? { name, unit, better, values: new Map() };
    series.set(name, row);
    row.values.set(path, [...row.values.get(path) ?? [], value]);
  };
  for (let round = 1; round <= options.rounds; round++) {
    console.error(
      `round ${round} of ${options.rounds}, load ${Deno.loadavg()[0]}`,
    );
    for (const way of options.ways) {
      for (const bytes of SIZES) {
        const what = way === "up" ? "client to far end" : "far end to client";
        for (const path of PATHS) {
          const m = await measure(ends, path, way, bytes, options);
          console.error(
            `  ${way} ${bytes} ${path}: ${m.kpps.toFixed(1)} kpps, ` +
              `${m.gigabits.toFixed(2)} Gbit/s, ${
                (m.lostShare * 100).toFixed(1)
              } % lost, gateway ${m.serverMicros.toFixed(2)} µs`,
          );
          const name = `${what}, ${bytes} bytes`;
          record(path, [name, "kpps", "more"], m.kpps);
          record(path, [`${name}, rate`, "Gbit/s", "more"], m.gigabits);
          record(
            path,
            [`${name}, gateway's processor time a packet`, "µs", "less"],
            m.serverMicros,
          );
        }
      }
    }
  }
  const table = formatSeries([...series.values()], PATHS);
  console.log(table);
  if (options.write) await writeSection(options.write, table);
}
