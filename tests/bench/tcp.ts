/**
 * TCP that the system's own stack ends, beside others, in turns:
 *
 *     deno run -A tests/bench/tcp.ts                       tun2socks by dante
 *     deno run -A tests/bench/tcp.ts --outbound direct     without a proxy
 *     deno run -A tests/bench/tcp.ts --gateway             the gateway's relay
 *
 * Needs root, /dev/net/tun, iperf3 and the proxy; Go for the other tun2socks.
 */
import {
  Command,
  InvalidArgumentError,
  Option,
} from "@commander-js/extra-typings";
import { Lab } from "../support/lab.ts";
import type { Need } from "../support/privileges.ts";
import {
  fetchTun2socks,
  TUN2SOCKS_VERSION,
} from "../support/tun2socks_package.ts";
import { fetchWireguardGo } from "../support/wireguard_go_package.ts";
import { cpuTimeMs, residentMegabytes, tcpThroughput } from "./measure.ts";
import { Recorder, type Value } from "./recorder.ts";
import { formatSeries, writeSection } from "./report.ts";
import {
  ANSWER_BYTES,
  OUTBOUNDS,
  STACKS,
  startBare,
  startGatewayWays,
  startStack,
  type TcpWay,
} from "./tcp_way.ts";
import { needs, positive } from "./command_line.ts";

const MEASURES = ["throughput", "connections", "memory"] as const;
type MeasureName = typeof MEASURES[number];

/** How long short connections may hang after a measurement. */
const PATIENCE_MS = 5000;

function measures(text: string): MeasureName[] {
  return text.split(",").map((word) => {
    const found = MEASURES.find((name) => name === word.trim());
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`one of ${MEASURES.join(", ")}`);
  });
}

const command = new Command("tcp")
  .description("measure TCP through the system's own stack beside others")
  .option("--gateway", "the gateway's relay beside its tunnel alone")
  .addOption(
    new Option("--outbound <name>", "how both tun2socks go out")
      .choices(OUTBOUNDS).default("dante" as const),
  )
  .option(
    "--only <list>",
    `what to measure: ${MEASURES.join(", ")}`,
    measures,
    [...MEASURES] as MeasureName[],
  )
  .option("--rounds <n>", "how often", positive, 3)
  .option("--seconds <n>", "length of each measurement", positive, 3)
  .option("--together <n>", "short connections at a time", positive, 64)
  .option("--write <title>", "keep the table in RESULTS.md under this title");

type Options = ReturnType<typeof command.opts>;

const MEASURE: Record<
  MeasureName,
  (way: TcpWay, options: Options, round: number) => Promise<Value[]>
> = {
  async throughput(way, { seconds }) {
    const values: Value[] = [];
    for (const from of ["client", "server"] as const) {
      for (const streams of [1, 4]) {
        const before = await cpuTimeMs(way);
        const load = { seconds, streams, from };
        const gigabits = await tcpThroughput(way, load);
        const cpuMs = await cpuTimeMs(way) - before;
        const name = `TCP from the ${from}, ${streams} stream${
          streams > 1 ? "s" : ""
        }`;
        values.push(
          [name, "Gbit/s", "more", gigabits],
          [`${name}, CPU`, "ms/GB", "less", cpuMs / (gigabits * seconds / 8)],
        );
      }
    }
    return values;
  },
  async connections(way, { seconds, together }, round) {
    const before = await cpuTimeMs(way);
    const count = await way.load.call("crowdShort", {
      address: way.address,
      port: way.answerPort(round),
      seconds,
      together,
      answerBytes: ANSWER_BYTES,
      patienceMs: PATIENCE_MS,
    });
    const cpuMs = await cpuTimeMs(way) - before;
    const { answered, durationMs } = count;
    const failed = Object.values(count.errors).reduce((sum, n) => sum + n, 0);
    if (failed > 0) console.error(way.name, count.errors);
    return [
      ["short connections", "/s", "more", answered / durationMs * 1000],
      ["short connections, failed", "", "less", failed],
      ["short connections, median", "ms", "less", count.medianMs],
      ["short connections, p99", "ms", "less", count.p99Ms],
      ["short connections, CPU each", "µs", "less", cpuMs * 1000 / answered],
    ];
  },
  async memory(way) {
    return [["memory after load", "MB", "less", await residentMegabytes(way)]];
  },
};

/** Starts what is compared; the first is the measure of the others. */
async function startWays(lab: Lab, options: Options): Promise<TcpWay[]> {
  if (options.gateway) return await startGatewayWays(lab);
  const built = await fetchTun2socks();
  if (built.kind === "missing") {
    console.error(`only sluice is measured: ${built.reason}`);
  }
  const ways: TcpWay[] = [];
  for (const name of STACKS) {
    if (name === "tun2socks" && built.kind === "missing") continue;
    const tun2socks = built.kind === "program" ? built.path : undefined;
    const { outbound } = options;
    ways.push(await startStack(lab, { name, outbound, tun2socks }));
  }
  return [...ways, await startBare(lab)];
}

async function run(options: Options): Promise<string> {
  await using lab = await Lab.create();
  const ways = await startWays(lab, options);
  const recorder = new Recorder();
  try {
    for (let round = 1; round <= options.rounds; round++) {
      console.error(`round ${round} of ${options.rounds}`);
      for (const measure of options.only) {
        for (const way of ways) {
          recorder.add(way.name, await MEASURE[measure](way, options, round));
        }
      }
    }
  } catch (error) {
    console.error(lab.report());
    throw error;
  }
  return formatSeries(recorder.series, ways.map(({ name }) => name));
}

/** What the table's names mean, for RESULTS.md. */
function legend(options: Options): string[] {
  if (options.gateway) {
    return [
      "A wireguard-go client, sluice as gateway; CPU and memory are the gateway's.",
    ];
  }
  const way = options.outbound === "direct"
    ? "without a proxy"
    : `by ${options.outbound} (SOCKS5)`;
  return [
    `tun2socks is xjasonlyu's ${TUN2SOCKS_VERSION}; both go out ${way}, MTU 1500;`,
    "veth is the bare link. CPU (user and system) and memory are the program's.",
    "Short connections ask 16 bytes and get 100; those that failed had no whole",
    `answer ${PATIENCE_MS / 1000} s after the others, and are not in the rate.`,
  ];
}

if (import.meta.main) {
  const options = command.parse(Deno.args, { from: "user" }).opts();
  const wanted: Need[] = ["tun", { program: "iperf3" }];
  if (options.gateway) {
    await fetchWireguardGo();
    wanted.push("wireguard-go", { program: "wg" }, { program: "ping" });
  } else if (options.outbound !== "direct") {
    const program = options.outbound === "dante" ? "danted" : "microsocks";
    wanted.push({ program });
  }
  await needs(wanted);
  const table = await run(options);
  console.log(table);
  if (options.write) {
    const args = Deno.args.map((arg) => /\s/.test(arg) ? `"${arg}"` : arg);
    await writeSection(
      options.write,
      [
        `\`deno run -A tests/bench/tcp.ts ${args.join(" ")}\``,
        `on ${navigator.hardwareConcurrency} cores, Linux ${Deno.osRelease()}.`,
        `Median (least to greatest) of ${options.rounds} rounds; a ratio is the`,
        "median of the rounds' ratios.",
        ...legend(options),
        "",
        table,
      ].join("\n"),
    );
  }
}
