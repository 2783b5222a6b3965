/**
 * Numbers of workers beside each other, in turns, and what they cost idle:
 *
 *     deno run -A tests/bench/workers.ts --cores 0 --choices single,1
 *
 * measures on one core whether two workers are worth their while there. Needs
 * root, /dev/net/tun, iperf3, ping and taskset.
 */
import { Command } from "@commander-js/extra-typings";
import { type LoggedProcess, runCommand } from "../support/process.ts";
import { Lab } from "../support/lab.ts";
import { pause } from "../support/wait.ts";
import { type Contender, startContender } from "./contender.ts";
import { pingTimes, tcpThroughput, udpDelivered } from "./measure.ts";
import { formatSeries, writeSection } from "./report.ts";
import type { Series } from "./throughput.ts";
import { needs, positive } from "./command_line.ts";

const IDLE_SECONDS = 10;
/** Before idleness is measured: what a start leaves to do. */
const SETTLE_MS = 3000;

const command = new Command("workers")
  .description("measure numbers of workers beside each other")
  .option(
    "--choices <list>",
    "values of SLUICE_WORKERS, the first is the measure of the others",
    (text) => text.split(","),
    ["single", "1"],
  )
  .option("--cores <list>", "run everything on these cores alone (taskset)")
  .option("--rounds <n>", "how often", positive, 3)
  .option("--seconds <n>", "length of each measurement", positive, 3)
  .option("--idle", "CPU time and wake-ups of an idle tunnel instead of load")
  .option("--write <title>", "keep the table in RESULTS.md under this title");

/** A tunnel and the processes at its ends. */
interface Ends {
  readonly contender: Contender;
  readonly server: LoggedProcess;
  readonly client: LoggedProcess;
}

type Value = readonly [
  name: string,
  unit: string,
  better: Series["better"],
  value: number,
];

/** Load: what a number of workers carries, and at which cost. */
async function load(
  { contender, server: { pid } }: Ends,
  seconds: number,
): Promise<Value[]> {
  const values: Value[] = [];
  for (const streams of [1, 4]) {
    const before = await processCost(pid);
    const gigabits = await tcpThroughput(contender, { seconds, streams });
    const cpuMs = (await processCost(pid)).cpuMs - before.cpuMs;
    const perGigabyte = cpuMs / (gigabits * seconds / 8);
    const name = `TCP, ${streams} stream${streams > 1 ? "s" : ""}`;
    values.push(
      [name, "Gbit/s", "more", gigabits],
      [`${name}, CPU of the server`, "ms/GB", "less", perGigabyte],
    );
  }
  const udp = await udpDelivered(contender, { seconds, bytes: 200 });
  const ping = await pingTimes(contender, 1);
  return [
    ...values,
    ["UDP flood, 200 bytes, delivered", "kpps", "more", udp],
    ["ping, idle, median", "ms", "less", ping.median],
    ["ping, idle, p99", "ms", "less", ping.p99],
  ];
}

/** Idleness: what the connected ends cost, each. */
async function idle({ server, client }: Ends): Promise<Value[]> {
  await pause(SETTLE_MS);
  const pids = [server.pid, client.pid];
  const before = await Promise.all(pids.map(processCost));
  await pause(IDLE_SECONDS * 1000);
  const after = await Promise.all(pids.map(processCost));
  return ["server", "client"].flatMap((end, i): Value[] => [
    [
      `CPU time in 10 s, ${end}`,
      "ms",
      "less",
      after[i].cpuMs - before[i].cpuMs,
    ],
    [
      `wake-ups in 10 s, ${end}`,
      "",
      "less",
      after[i].wakeUps - before[i].wakeUps,
    ],
  ]);
}

/** CPU time and voluntary context switches of all threads of a process. */
async function processCost(pid: number) {
  let nanoseconds = 0;
  let wakeUps = 0;
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const task = `/proc/${pid}/task/${name}`;
    const [running] = (await Deno.readTextFile(`${task}/schedstat`)).split(" ");
    nanoseconds += Number(running);
    const status = await Deno.readTextFile(`${task}/status`);
    wakeUps += Number(
      status.match(/^voluntary_ctxt_switches:\s+([0-9]+)$/m)![1],
    );
  }
  return { cpuMs: nanoseconds / 1e6, wakeUps };
}

/** Starts both ends of a tunnel with a number of workers. */
async function start(lab: Lab, choice: string): Promise<Ends> {
  Deno.env.set("SLUICE_WORKERS", choice);
  const contender = await startContender(lab, "sluice", {
    underlay: "offloads",
  });
  const server = contender.process;
  const client = lab.processes.findLast(({ name }) => name.endsWith("connect"));
  if (!server || !client) throw new Error("an end of the tunnel is missing");
  return { contender, server, client };
}

async function measure(
  options: ReturnType<typeof command.opts>,
  names: readonly string[],
): Promise<Series[]> {
  await using lab = await Lab.create();
  const running: Ends[] = [];
  for (const choice of options.choices) running.push(await start(lab, choice));
  const series = new Map<string, Series>();
  for (let round = 1; round <= options.rounds; round++) {
    console.error(`round ${round} of ${options.rounds}`);
    for (const [i, ends] of running.entries()) {
      const values = options.idle
        ? await idle(ends)
        : await load(ends, options.seconds);
      for (const [name, unit, better, value] of values) {
        const row = series.get(name) ??
          { name, unit, better, values: new Map<string, number[]>() };
        series.set(name, row);
        const all = row.values.get(names[i]) ?? [];
        row.values.set(names[i], [...all, value]);
      }
    }
  }
  return [...series.values()];
}

if (import.meta.main) {
  const options = command.parse(Deno.args, { from: "user" }).opts();
  await needs([
    "tun",
    { program: "iperf3" },
    { program: "ping" },
    { program: "taskset" },
  ]);
  if (options.cores !== undefined) {
    const own = String(Deno.pid);
    await runCommand(["taskset", "-a", "-c", "-p", options.cores, own]);
  }
  const names = options.choices.map((choice) => `workers ${choice}`);
  const table = formatSeries(await measure(options, names), names);
  console.log(table);
  if (options.write) {
    const args = Deno.args.map((arg) => /\s/.test(arg) ? `"${arg}"` : arg);
    await writeSection(
      options.write,
      [
        `\`deno run -A tests/bench/workers.ts ${args.join(" ")}\`, Linux`,
        `${Deno.osRelease()}. Median (least to greatest) of ${options.rounds}`,
        "rounds; a ratio is the median of the rounds' ratios.",
        "",
        table,
      ].join("\n"),
    );
  }
}
