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
import { Command } from "@commander-js/extra-typings";
import { denoRun } from "../support/agent.ts";
import { Lab, type Namespace } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";
import {
  makeClient,
  PORT,
  startConnect,
  startServer,
  TUNNEL,
} from "../support/sluice.ts";
import type { LoadOptions, LoadResult } from "./nat_load.ts";
import { writeSection } from "./report.ts";
import { describe, medianRatio } from "./statistics.ts";
import { needs, positive } from "./command_line.ts";

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

/** All rounds of one way and size, by path. */
interface Case {
  readonly way: Way;
  readonly bytes: number;
  readonly measured: Record<Path, Measured[]>;
}

const COLUMNS = [
  ["kpps", 1, (m: Measured) => m.kpps],
  ["Gbit/s", 2, (m: Measured) => m.gigabits],
  ["lost, %", 1, (m: Measured) => m.lostShare * 100],
  ["gateway's processor time a packet, µs", 2, (m: Measured) => m.serverMicros],
] as const;

/** Medians with their range, and the NAT's share of the bare tunnel. */
function formatCases(cases: readonly Case[]): string {
  const lines = cases.flatMap(({ way, bytes, measured }) =>
    COLUMNS.map(([unit, digits, of]) => {
      const [plain, nat] = PATHS.map((path) => measured[path].map(of));
      const share = medianRatio(nat, plain);
      return [
        way === "up" ? "client to far end" : "far end to client",
        String(bytes),
        unit,
        describe(plain, digits),
        describe(nat, digits),
        unit.startsWith("lost") ? "" : share.toFixed(2),
      ];
    })
  );
  const head = [
    "way",
    "bytes",
    "measure",
    "tunnel alone",
    "through the NAT",
    "share",
  ];
  return [head, head.map(() => "---"), ...lines]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const command = new Command("nat")
  .description("measure UDP through the gateway's NAT beside the bare tunnel")
  .option("--rounds <n>", "how often", positive, 3)
  .option("--seconds <n>", "length of each measurement", positive, 2)
  .option("--window <n>", "datagrams on the way at once", positive, 1024)
  .option("--write <title>", "keep the table in RESULTS.md under this title");

if (import.meta.main) {
  const options = command.parse(Deno.args, { from: "user" }).opts();
  await needs(["tun", { program: "ping" }]);
  await using lab = await Lab.create();
  const ends = await stage(lab);
  const cases = (["up", "down"] as const).flatMap((way) =>
    SIZES.map((bytes): Case => ({
      way,
      bytes,
      measured: { plain: [], nat: [] },
    }))
  );
  const loads: number[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    loads.push(Deno.loadavg()[0]);
    console.error(`round ${round} of ${options.rounds}`);
    for (const { way, bytes, measured } of cases) {
      for (const path of PATHS) {
        const result = await measure(ends, path, way, bytes, options);
        measured[path].push(result);
      }
    }
  }
  const table = formatCases(cases);
  console.log(table);
  if (options.write) {
    const { rounds, seconds, window } = options;
    await writeSection(
      options.write,
      [
        `\`deno run -A tests/bench/nat.ts --rounds ${rounds} --seconds ${seconds}\``,
        `on ${navigator.hardwareConcurrency} cores, Linux ${Deno.osRelease()};`,
        `load average before each round ${describe(loads, 1)}.`,
        `One client, one mapping, ${window} datagrams on the way at once; bytes`,
        `are of UDP payload (${
          SIZES[0]
        } makes a packet of 1,400 bytes). All ends`,
        "share the cores. Median (least to greatest); the share is the median of",
        "the rounds' ratios.",
        "",
        table,
      ].join("\n"),
    );
  }
}
