/**
 * `deno task bench`: measures the tunnel beside wireguard-go, in one run, in
 * turns. Needs root, /dev/net/tun, iperf3, ping and wg.
 */
import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { fetchWireguardGo } from "../support/wireguard_go_package.ts";
import { type ContenderName, CONTENDERS } from "./contender.ts";
import { formatSeries, writeSection } from "./report.ts";
import {
  labels,
  type MeasureName,
  MEASURES,
  runThroughput,
} from "./throughput.ts";
import { needs, positive } from "./command_line.ts";

/** A comma-separated list of known words. */
function listOf<T extends string>(known: readonly T[]) {
  return (text: string): T[] =>
    text.split(",").map((word) => {
      const found = known.find((name) => name === word.trim());
      if (found === undefined) {
        throw new InvalidArgumentError(`one of ${known.join(", ")}`);
      }
      return found;
    });
}

const command = new Command("bench")
  .description("measure the tunnel beside another implementation")
  .option(
    "--contenders <list>",
    `in turns, the first is the measure of the others: ${
      CONTENDERS.join(", ")
    }`,
    listOf(CONTENDERS),
    ["wireguard-go", "sluice"] as ContenderName[],
  )
  .option(
    "--only <list>",
    `what to measure: ${MEASURES.join(", ")}`,
    listOf(MEASURES),
    [...MEASURES] as MeasureName[],
  )
  .option("--rounds <n>", "how often", positive, 3)
  .option("--seconds <n>", "length of each measurement", positive, 4)
  .option("--crypto <name>", "SLUICE_CRYPTO for our own")
  .option("--plain-underlay", "the veth pair without offloads (needs ethtool)")
  .option("--write <title>", "keep the table in RESULTS.md under this title");

if (import.meta.main) {
  const options = command.parse(Deno.args, { from: "user" }).opts();
  await needs([
    "tun",
    { program: "wg" },
    { program: "iperf3" },
    { program: "ping" },
    ...(options.plainUnderlay ? [{ program: "ethtool" }] : []),
  ]);
  if (options.contenders.includes("wireguard-go")) await fetchWireguardGo();
  const series = await runThroughput({
    contenders: options.contenders,
    measures: options.only,
    rounds: options.rounds,
    seconds: options.seconds,
    crypto: options.crypto,
    underlay: options.plainUnderlay ? "plain" : "offloads",
    onRound: (round) => console.error(`round ${round} of ${options.rounds}`),
  });
  const table = formatSeries(series, labels(options.contenders));
  console.log(table);
  if (options.write) {
    const args = Deno.args.map((arg) => /\s/.test(arg) ? `"${arg}"` : arg);
    await writeSection(
      options.write,
      [
        `\`deno task bench ${
          args.join(" ")
        }\` on ${navigator.hardwareConcurrency}`,
        `cores, Linux ${Deno.osRelease()}. Median (least to greatest) of`,
        `${options.rounds} rounds; a ratio is the median of the rounds' ratios.`,
        "",
        table,
      ].join("\n"),
    );
  }
}
