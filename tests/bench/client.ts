/**
 * What `sluice client` costs flows that go direct, in one run with none and with
 * it, in turns, once with one rule and once with 2,000:
 *
 *     deno run -A tests/bench/client.ts
 *
 * Needs root and /dev/net/tun.
 */
import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { Lab } from "../support/lab.ts";
import { pause, waitFor } from "../support/wait.ts";
import { measureLookups, programsHere } from "./client_lookup.ts";
import {
  ANSWER_BYTES,
  type ClientWay,
  heldFlows,
  manyRules,
  PORTS,
  startClientWay,
} from "./client_way.ts";
import { cpuTimeMs, residentMegabytes } from "./measure.ts";
import { Recorder, type Value } from "./recorder.ts";
import { formatSeries, writeSection } from "./report.ts";
import { quantile } from "./statistics.ts";
import { needs, positive } from "./command_line.ts";

const MEASURES = ["latency", "connections", "flows", "udp", "look-up"] as const;
type MeasureName = typeof MEASURES[number];

const RULES = 2000;
/** What look-ups, which need no client, are measured on. */
const HERE = "process table";
const PATIENCE_MS = 5000;
/** How long flows that have ended may stand in the table. */
const END_MS = 60_000;
/** UDP flows end when nothing has passed for 5 minutes. */
const UDP_END_MS = 330_000;

function measures(text: string): MeasureName[] {
  return text.split(",").map((word) => {
    const found = MEASURES.find((name) => name === word.trim());
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`one of ${MEASURES.join(", ")}`);
  });
}

const command = new Command("client")
  .description("measure what sluice client costs direct flows")
  .option(
    "--only <list>",
    `what to measure: ${MEASURES.join(", ")}`,
    measures,
    [...MEASURES] as MeasureName[],
  )
  .option("--rounds <n>", "how often", positive, 3)
  .option("--seconds <n>", "length of each rate", positive, 2)
  .option("--count <n>", "echoes and connects timed", positive, 500)
  .option("--together <n>", "new flows at a time", positive, 32)
  .option(
    "--flows <n>",
    "held at once, half of them TCP, half UDP",
    positive,
    10_000,
  )
  .option("--write <title>", "keep the table in RESULTS.md under this title");

type Options = ReturnType<typeof command.opts>;

function times(name: string, all: readonly number[]): Value[] {
  return [
    [`${name}, median`, "ms", "less", quantile(all, 0.5)],
    [`${name}, p99`, "ms", "less", quantile(all, 0.99)],
  ];
}

const MEASURE: Record<
  Exclude<MeasureName, "look-up">,
  (way: ClientWay, options: Options) => Promise<Value[]>
> = {
  async latency({ load, address }, { count }) {
    const size = 16;
    const echo = { address, port: PORTS.echo, size, count };
    const udp = { address, port: PORTS.udp, size, count, timeoutMs: 1000 };
    return [
      ...times("TCP echo, kept", await load.call("tcpEchoTimes", echo)),
      ...times("UDP echo, kept", (await load.call("udpEchoTimes", udp)).times),
      ...times(
        "TCP connect",
        await load.call("tcpConnectTimes", {
          address,
          port: PORTS.answer,
          count,
        }),
      ),
    ];
  },
  async connections(way, { seconds, together }) {
    const before = await cpuTimeMs(way);
    const count = await way.load.call("crowdShort", {
      address: way.address,
      port: PORTS.answer,
      seconds,
      together,
      answerBytes: ANSWER_BYTES,
      patienceMs: PATIENCE_MS,
    });
    const cpuMs = await cpuTimeMs(way) - before;
    const { answered, durationMs, errors } = count;
    const failed = Object.values(errors).reduce((sum, n) => sum + n, 0);
    if (failed > 0) console.error(way.name, errors);
    return [
      ["new TCP connections", "/s", "more", answered / durationMs * 1000],
      ["new TCP connections, failed", "", "less", failed],
      ["new TCP connections, CPU each", "µs", "less", cpuMs * 1000 / answered],
    ];
  },
  async flows(way, options) {
    const { load, server, address } = way;
    const { together } = options;
    const count = options.flows >> 1;
    const held = `${2 * count} flows held`;
    const idle: Value[] = [
      [`${held}, memory before`, "MB", "less", await residentMegabytes(way)],
      [`${held}, open files before`, "", "less", openFiles(way)],
    ];
    const startedAt = performance.now();
    const { open, errors } = await load.call("crowdOpen", {
      address,
      port: PORTS.echo,
      count,
      together,
    });
    if (open < count) console.error(way.name, errors);
    const answered = await load.call("udpHold", {
      address,
      port: PORTS.udp,
      count,
      together,
      timeoutMs: 2000,
    });
    const setUpMs = performance.now() - startedAt;
    const { echoed } = await load.call("crowdEcho", { timeoutMs: 60_000 });
    const heldMb = await residentMegabytes(way);
    const listed = way.process && await timed(() => heldFlows(way));
    const beside = [
      ...await MEASURE.connections(way, options),
      ...await MEASURE.udp(way, options),
    ].map((
      [name, ...rest],
    ): Value => [`${held}, beside them ${name}`, ...rest]);
    const still = (await load.call("crowdEcho", { timeoutMs: 60_000 })).echoed;
    await load.call("crowdClose", { how: "finish" });
    await load.call("udpRelease", null);
    const endedAt = performance.now();
    await waitFor("the server's connections to end", async () => {
      const place = { address, port: PORTS.echo };
      return (await server.call("crowdServed", place)).open === 0;
    }, { timeoutMs: END_MS });
    if (way.process) {
      await waitFor(
        "the connections to end",
        async () =>
          (await heldFlows(way)).every(({ protocol }) => protocol === "udp"),
        { timeoutMs: END_MS },
      );
    }
    const goneMs = performance.now() - endedAt;
    return [
      ...idle,
      [`${held}, answered`, "", "more", echoed + answered],
      [`${held}, listed`, "", "more", listed?.value.length ?? NaN],
      [`${held}, the list takes`, "ms", "less", listed?.ms ?? NaN],
      [`${held}, set up in`, "ms", "less", setUpMs],
      [`${held}, memory`, "MB", "less", heldMb],
      ...beside,
      [`${held}, TCP answered after that`, "", "more", still],
      [`${held}, TCP gone after`, "ms", "less", way.process ? goneMs : NaN],
    ];
  },
  async udp({ load, address }, { seconds, together }) {
    const { answered, lost, durationMs } = await load.call("udpFlows", {
      address,
      port: PORTS.udp,
      seconds,
      together,
      timeoutMs: 2000,
    });
    return [
      ["new UDP flows", "/s", "more", answered / durationMs * 1000],
      ["new UDP flows, lost", "", "less", lost],
    ];
  },
};

/** What is left when the last flow should have ended. */
async function theEnd(way: ClientWay): Promise<Value[]> {
  const deadline = performance.now() + UDP_END_MS;
  let left = way.process ? (await heldFlows(way)).length : NaN;
  while (left > 0 && performance.now() < deadline) {
    await pause(2000);
    left = (await heldFlows(way)).length;
  }
  return [
    ["at the end, flows", "", "less", left],
    ["at the end, memory", "MB", "less", await residentMegabytes(way)],
    ["at the end, open files", "", "less", openFiles(way)],
  ];
}

async function timed<T>(run: () => Promise<T>) {
  const startedAt = performance.now();
  const value = await run();
  return { value, ms: performance.now() - startedAt };
}

function openFiles({ process }: ClientWay): number {
  if (process === undefined) return NaN;
  return [...Deno.readDirSync(`/proc/${process.pid}/fd`)].length;
}

async function run(options: Options): Promise<string> {
  await using lab = await Lab.create();
  const recorder = new Recorder();
  const lookups = new Recorder();
  try {
    const ways = [
      await startClientWay(lab, { name: "no client", rules: undefined }),
      await startClientWay(lab, {
        name: "client, 1 rule",
        rules: manyRules(1),
      }),
      await startClientWay(lab, {
        name: `client, ${RULES} rules`,
        rules: manyRules(RULES),
      }),
    ];
    for (let round = 1; round <= options.rounds; round++) {
      console.error(`round ${round} of ${options.rounds}`);
      for (const measure of options.only) {
        // UDP flows stay for minutes: a second crowd would come upon the first.
        if (measure === "flows" && round > 1) continue;
        if (measure === "look-up") {
          lookups.add(HERE, await measureLookups());
          continue;
        }
        for (const way of ways) {
          recorder.add(way.name, await MEASURE[measure](way, options));
        }
      }
    }
    if (options.only.includes("flows")) {
      console.error("waiting for UDP flows to end, about 5 minutes");
      for (const way of ways) recorder.add(way.name, await theEnd(way));
    }
    return [
      formatSeries(recorder.series, ways.map(({ name }) => name)),
      formatSeries(lookups.series, [HERE]),
    ].join("\n\n");
  } catch (error) {
    for (const process of lab.processes) {
      if (/sluice/.test(process.name)) console.error(process.tail());
    }
    throw error;
  }
}

if (import.meta.main) {
  const options = command.parse(Deno.args, { from: "user" }).opts();
  await needs(["tun"]);
  const load = Deno.loadavg()[0].toFixed(1);
  const programs = programsHere();
  const table = await run(options);
  console.log(table);
  if (options.write) {
    const args = Deno.args.map((arg) => /\s/.test(arg) ? `"${arg}"` : arg);
    await writeSection(
      options.write,
      [
        `\`deno run -A tests/bench/client.ts ${args.join(" ")}\``,
        `on ${navigator.hardwareConcurrency} cores, Linux ${Deno.osRelease()},`,
        `shared with others: load average ${load} and ${programs} programs at the`,
        "start, so that the ratios say more than the figures.",
        `Median (least to greatest) of ${options.rounds} rounds; a ratio is the`,
        "median of the rounds' ratios.",
        "All flows go direct, by a router; TCP is ended and dialed anew by the",
        "client, so that connect is two handshakes and a look-up. Memory, CPU and",
        "open files are the client's. Of the flows held half are TCP and half UDP;",
        "only TCP ends at once. Look-ups are of the process table by itself.",
        "",
        table,
      ].join("\n"),
    );
  }
}
