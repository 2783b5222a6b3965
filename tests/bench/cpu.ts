/**
 * What a packet costs each end of the tunnel in CPU time, and where that goes.
 *
 *     deno run -A tests/bench/cpu.ts --seconds 6 --write "CPU time of a packet"
 *
 * One TCP stream at full speed; the time of a process is the system's account,
 * the shares are samples by perf. Needs root, /dev/net/tun, iperf3 and perf
 * (Debian: linux-perf).
 */
import { Command } from "@commander-js/extra-typings";
import { Lab } from "../support/lab.ts";
import { type LoggedProcess, runCommand } from "../support/process.ts";
import { startContender } from "./contender.ts";
import { cpuTimeMs, tcpThroughput } from "./measure.ts";
import {
  type HotSymbol,
  parsePerfReport,
  PARTS,
  sharesOf,
} from "./perf_report.ts";
import { formatTable, writeSection } from "./report.ts";
import { needs, positive } from "./command_line.ts";

/** Bytes of TCP's payload in a packet: MTU 1420 without IPv4, TCP, timestamps. */
const SEGMENT = 1420 - 20 - 20 - 12;
/** Until all that is hot has been compiled. */
const WARM_UP_SECONDS = 5;
const SAMPLES_PER_SECOND = 2000;
/** Functions that are named for each end. */
const NAMED = 10;
/** Compiled code gets its names in /tmp/perf-PID.map. */
const ENV = {
  DENO_V8_FLAGS: "--perf-basic-prof,--interpreted-frames-native-stack",
};

const ENDS = ["server", "client"] as const;
/** What was found at one end. */
interface EndCost {
  readonly nanosecondsPerPacket: number;
  readonly symbols: readonly HotSymbol[];
}
type Costs = Readonly<Record<typeof ENDS[number], EndCost>>;

const command = new Command("cpu")
  .description("measure what a packet costs in CPU time, and where it goes")
  .option("--seconds <n>", "length of the measurement", positive, 6)
  .option("--write <title>", "keep the tables in RESULTS.md under this title");

/** Samples a process for a while. */
async function sample(
  { pid }: LoggedProcess,
  file: string,
  seconds: number,
): Promise<HotSymbol[]> {
  await runCommand([
    "perf",
    ...["record", "-q", "-F", String(SAMPLES_PER_SECOND), "-o", file],
    ...["-p", String(pid), "--", "sleep", String(seconds)],
  ], { timeoutMs: (seconds + 60) * 1000 });
  const { stdout } = await runCommand([
    "perf",
    ...["report", "-i", file, "--stdio", "--sort", "dso,sym"],
    "--field-separator=;",
  ], { timeoutMs: 120_000 });
  return parsePerfReport(stdout);
}

async function measure(
  seconds: number,
): Promise<{ costs: Costs; gigabits: number }> {
  await using lab = await Lab.create();
  const contender = await startContender(lab, "sluice", {
    underlay: "offloads",
    env: ENV,
  });
  const client = lab.processes.findLast(({ name }) => name.endsWith("connect"));
  const server = contender.process;
  if (!server || !client) throw new Error("an end of the tunnel is missing");
  const processes = { server, client };
  await tcpThroughput(contender, { seconds: WARM_UP_SECONDS, streams: 1 });
  const time = () =>
    Promise.all(ENDS.map((end) => cpuTimeMs({ process: processes[end] })));
  const before = await time();
  const [gigabits, ...symbols] = await Promise.all([
    tcpThroughput(contender, { seconds, streams: 1 }),
    ...ENDS.map((end) =>
      sample(processes[end], `${lab.directory}/${end}.perf`, seconds - 1)
    ),
  ]);
  const after = await time();
  await Promise.all(
    ENDS.map((end) =>
      Deno.remove(`/tmp/perf-${processes[end].pid}.map`).catch(() => {})
    ),
  );
  const packets = gigabits * seconds * 1e9 / 8 / SEGMENT;
  const cost = (i: number): EndCost => ({
    nanosecondsPerPacket: (after[i] - before[i]) * 1e6 / packets,
    symbols: symbols[i],
  });
  return { costs: { server: cost(0), client: cost(1) }, gigabits };
}

/** Time per packet by part, and the functions that take most. */
function format(costs: Costs): string {
  const shares = ENDS.map((end) => sharesOf(costs[end].symbols));
  const cells = (share: number, end: typeof ENDS[number]) => [
    (share * costs[end].nanosecondsPerPacket).toFixed(0),
    `${(share * 100).toFixed(1)} %`,
  ];
  const parts = PARTS.map((part) => [
    part,
    ...ENDS.flatMap((end, i) => cells(shares[i].get(part)!, end)),
  ]);
  const all = ["all", ...ENDS.flatMap((end) => cells(1, end))];
  const head = [
    "where",
    ...ENDS.flatMap((end) => [`${end}, ns a packet`, "share"]),
  ];
  const named = Array.from({ length: NAMED }, (_, i) =>
    ENDS.flatMap((end) => {
      const symbol = costs[end].symbols.toSorted((a, b) =>
        b.share - a.share
      )[i];
      return symbol === undefined
        ? ["", ""]
        : [symbol.name, `${(symbol.share * 100).toFixed(1)} %`];
    }));
  return [
    formatTable([head, ...parts, all]),
    "",
    formatTable([
      ENDS.flatMap((end) => [`most at the ${end}`, "share"]),
      ...named,
    ]),
  ].join("\n");
}

if (import.meta.main) {
  const options = command.parse(Deno.args, { from: "user" }).opts();
  await needs([
    "tun",
    { program: "iperf3" },
    { program: "perf" },
  ]);
  const { costs, gigabits } = await measure(options.seconds);
  const text = format(costs);
  console.log(text);
  if (options.write) {
    await writeSection(
      options.write,
      [
        `\`deno run -A tests/bench/cpu.ts --seconds ${options.seconds}\` on`,
        `${navigator.hardwareConcurrency} cores, Linux ${Deno.osRelease()}, at ${
          gigabits.toFixed(2)
        } Gbit/s by one TCP`,
        `stream to the server, ${SEGMENT} bytes of payload a packet; acknowledgements are`,
        "not counted as packets, their cost is in it. The time of an end is all CPU",
        "time of its process; its parts are samples by perf.",
        "",
        text,
      ].join("\n"),
    );
  }
}
