/** Single measurements of a contender: iperf3, ping, resident memory. */
import { pause, waitFor } from "../support/wait.ts";
import type { Contender } from "./contender.ts";
import { quantile } from "./statistics.ts";

const IPERF_PORT = 5201;

/** Where load goes from and to. */
export type Ends = Pick<Contender, "client" | "server" | "address">;

/** Sends by iperf3 and gives its report. */
async function iperf(
  { client, server, address }: Ends,
  seconds: number,
  args: readonly string[],
  // deno-lint-ignore no-explicit-any -- iperf3's report, read by the callers
): Promise<any> {
  const receiver = server.spawn("iperf3", [
    "iperf3",
    ...["--server", "--one-off", "--bind", address],
  ]);
  await waitFor("iperf3 to listen", async () => {
    const { stdout } = await server.run([
      "ss",
      ...["-Htln", `sport = :${IPERF_PORT}`],
    ]);
    return stdout.trim() !== "";
  });
  const { stdout } = await client.run([
    "iperf3",
    ...["--client", address, "--time", String(seconds), "--json"],
    ...args,
  ], { timeoutMs: seconds * 1000 + 20_000, exit: "any" });
  await receiver.stop();
  const report = JSON.parse(stdout);
  if (report.error) throw new Error(`iperf3: ${report.error}`);
  return report.end;
}

/** TCP from client to server, or back, in Gbit/s as received. */
export async function tcpThroughput(
  ends: Ends,
  options: {
    readonly seconds: number;
    readonly streams: number;
    readonly from?: "client" | "server";
  },
): Promise<number> {
  const end = await iperf(ends, options.seconds, [
    ...["--parallel", String(options.streams)],
    ...(options.from === "server" ? ["--reverse"] : []),
  ]);
  return end.sum_received.bits_per_second / 1e9;
}

/** A flood of UDP datagrams as fast as the sender can; delivered ones in kpps. */
export async function udpDelivered(
  contender: Contender,
  options: { readonly seconds: number; readonly bytes: number },
): Promise<number> {
  const { sum } = await iperf(contender, options.seconds, [
    "--udp",
    ...["--bitrate", "0", "--length", String(options.bytes)],
  ]);
  return (sum.packets - sum.lost_packets) / sum.seconds / 1000;
}

/** Round-trip times in ms. */
export interface PingTimes {
  readonly median: number;
  readonly p99: number;
}

/** Pings for `seconds`, 100 times a second. */
export async function pingTimes(
  { client, address }: Contender,
  seconds: number,
): Promise<PingTimes> {
  const { stdout } = await client.run([
    "ping",
    ...["-n", "-i", "0.01", "-c", String(seconds * 100), "-W", "2", address],
  ], { timeoutMs: seconds * 1000 + 20_000, exit: "any" });
  const times = Array.from(
    stdout.matchAll(/time=([0-9.]+) ms/g),
    ([, time]) => Number(time),
  );
  return { median: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

/** Pings while one TCP stream fills the tunnel. */
export async function pingTimesUnderLoad(
  contender: Contender,
  seconds: number,
): Promise<PingTimes> {
  const load = tcpThroughput(contender, { seconds: seconds + 2, streams: 1 });
  await pause(1000);
  const times = await pingTimes(contender, seconds);
  await load;
  return times;
}

/** Resident memory of the server end in MB. */
export async function residentMegabytes(
  { process }: Pick<Contender, "process">,
): Promise<number> {
  if (!process) return NaN;
  const status = await Deno.readTextFile(`/proc/${process.pid}/status`);
  return Number(status.match(/^VmRSS:\s+([0-9]+) kB$/m)![1]) / 1024;
}

/** User and system time of all of a process's threads so far, in ms. */
export async function cpuTimeMs(
  { process }: Pick<Contender, "process">,
): Promise<number> {
  if (!process) return NaN;
  const text = await Deno.readTextFile(`/proc/${process.pid}/stat`);
  // The name in parentheses may hold blanks; utime is the 12th field after it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 1000 / TICKS_PER_SECOND;
}

/** USER_HZ, the same on all of Linux's machines. */
const TICKS_PER_SECOND = 100;
