/**
 * Full load for minutes: whether the tunnel loses speed, grows, or pauses.
 *
 *     deno run -A tests/bench/soak.ts --minutes 10 --write "Ten minutes at full load"
 *
 * One TCP stream whose direction changes every 30 s, with a ping every 10 ms
 * beside it: a pause is the time in which no echo came back. Ping itself waits
 * for a core now and then, so another one runs over the bare link, for
 * comparison. Needs root, /dev/net/tun, iperf3 and ping.
 */
import { Command } from "@commander-js/extra-typings";
import { Lab, type Namespace } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";
import { pause, waitFor } from "../support/wait.ts";
import { type Contender, startContender } from "./contender.ts";
import { PauseWatch } from "./pause_watch.ts";
import { writeSection } from "./report.ts";
import {
  describeSample,
  DIRECTIONS,
  formatSoak,
  type Sample,
} from "./soak_report.ts";
import { needs, positive } from "./command_line.ts";

const TURN_SECONDS = 30;
const SAMPLE_SECONDS = 10;
/** Turns of a shorter run are shorter, so that there are some to compare. */
const LEAST_TURNS = 10;

const command = new Command("soak")
  .description("keep the tunnel at full load for minutes")
  .option("--minutes <n>", "how long", positive, 10)
  .option("--write <title>", "keep the table in RESULTS.md under this title");

/** A tunnel and the processes at its ends. */
interface Ends {
  readonly contender: Contender;
  readonly server: LoggedProcess;
  readonly client: LoggedProcess;
}

/** Pings through the tunnel and beside it. */
interface Watches {
  readonly tunnel: PauseWatch;
  readonly link: PauseWatch;
}

async function start(lab: Lab): Promise<Ends> {
  const contender = await startContender(lab, "sluice", {
    underlay: "offloads",
  });
  const server = contender.process;
  const client = lab.processes.findLast(({ name }) => name.endsWith("connect"));
  if (!server || !client) throw new Error("an end of the tunnel is missing");
  return { contender, server, client };
}

/** The address at the server's end of the link that the tunnel runs over. */
async function linkAddress(server: Namespace): Promise<string> {
  const { stdout } = await server.run([
    "ip",
    ...["-json", "-4", "address", "show", "eth0"],
  ]);
  const [link]: { addr_info: { local: string }[] }[] = JSON.parse(stdout);
  return link.addr_info[0].local;
}

async function residentMegabytes({ pid }: LoggedProcess): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(status.match(/^VmRSS:\s+([0-9]+) kB$/m)![1]) / 1024;
}

/** Starts iperf3 at the server's end for one turn: a lasting one may not be done with the last. */
async function startReceiver(
  { server, address }: Contender,
): Promise<LoggedProcess> {
  const receiver = server.spawn("iperf3", [
    "iperf3",
    ...["--server", "--one-off", "--bind", address],
  ]);
  await waitFor("iperf3 to listen", async () => {
    const { stdout } = await server.run(["ss", "-Htln", "sport = :5201"]);
    return stdout.trim() !== "";
  });
  return receiver;
}

/** One direction for a while; Gbit/s of each interval as iperf3 counts it. */
async function load(
  { client, address }: Contender,
  direction: Sample["direction"],
  seconds: number,
): Promise<number[]> {
  const { stdout } = await client.run([
    "iperf3",
    ...["--client", address, "--json", "--time", String(seconds)],
    ...["--interval", String(SAMPLE_SECONDS)],
    ...(direction === "to client" ? ["--reverse"] : []),
  ], { timeoutMs: (seconds + 30) * 1000, exit: "any" });
  const report = JSON.parse(stdout);
  if (report.error) throw new Error(`iperf3: ${report.error}`);
  const intervals: { sum: { seconds: number; bits_per_second: number } }[] =
    report.intervals;
  return intervals.filter(({ sum }) => sum.seconds > SAMPLE_SECONDS / 2)
    .map(({ sum }) => sum.bits_per_second / 1e9);
}

/** One turn: load in one direction, looked at every ten seconds. */
async function turn(
  { contender, server, client }: Ends,
  options: {
    readonly direction: Sample["direction"];
    readonly seconds: number;
    readonly watches: Watches;
  },
): Promise<Sample[]> {
  const { direction, seconds, watches } = options;
  const receiver = await startReceiver(contender);
  const loading = load(contender, direction, seconds);
  const looks: Omit<Sample, "direction" | "gigabits">[] = [];
  for (let second = 0; second < seconds; second += SAMPLE_SECONDS) {
    await Promise.race([pause(SAMPLE_SECONDS * 1000), failure(loading)]);
    looks.push({
      ...watches.tunnel.take(),
      linkPauseMs: watches.link.take().pauseMs,
      server: await residentMegabytes(server),
      client: await residentMegabytes(client),
    });
  }
  const speeds = await loading;
  await receiver.waitForExit();
  return looks.flatMap((look, i) =>
    speeds[i] === undefined ? [] : [{ ...look, direction, gigabits: speeds[i] }]
  );
}

/** Rejects where the promise does, and never resolves. */
function failure(promise: Promise<unknown>): Promise<never> {
  return new Promise((_, reject) => promise.catch(reject));
}

/** Runs all turns; a look of each is printed on the way. */
async function soak(
  minutes: number,
): Promise<{ turns: Sample[][]; echoes: string }> {
  await using lab = await Lab.create();
  const ends = await start(lab);
  const { client, server, address } = ends.contender;
  const watches: Watches = {
    tunnel: PauseWatch.start(client, address),
    link: PauseWatch.start(client, await linkAddress(server)),
  };
  const wholeSeconds = minutes * 60;
  const shortest = Math.floor(wholeSeconds / LEAST_TURNS / SAMPLE_SECONDS) *
    SAMPLE_SECONDS;
  const seconds = Math.max(SAMPLE_SECONDS, Math.min(TURN_SECONDS, shortest));
  const turns: Sample[][] = [];
  for (let done = 0; done < wholeSeconds; done += seconds) {
    const direction = DIRECTIONS[turns.length % DIRECTIONS.length];
    const samples = await turn(ends, { direction, seconds, watches });
    for (const sample of samples) console.error(describeSample(sample));
    turns.push(samples);
  }
  const echoes = await watches.tunnel.stop();
  return { turns, echoes };
}

if (import.meta.main) {
  const options = command.parse(Deno.args, { from: "user" }).opts();
  await needs([
    "tun",
    { program: "iperf3" },
    { program: "ping" },
  ]);
  const { turns, echoes } = await soak(options.minutes);
  const text = formatSoak(turns, echoes);
  console.log(text);
  if (options.write) {
    await writeSection(
      options.write,
      [
        `\`deno run -A tests/bench/soak.ts --minutes ${options.minutes}\` on`,
        `${navigator.hardwareConcurrency} cores, Linux ${Deno.osRelease()};`,
        `load average at the end ${
          Deno.loadavg()[0].toFixed(1)
        }. One TCP stream, its`,
        "direction changed in turns; speeds are means, memory is the median of",
        "samples every 10 s, pauses are the greatest. A ping every 10 ms runs beside",
        "it: a pause is the time between two echoes that came back, 10 ms or a little",
        "more where nothing stops. The last column is the same for a ping over the",
        "bare link at the same time: what the machine's own load makes a ping wait.",
        "",
        text,
      ].join("\n"),
    );
  }
}
