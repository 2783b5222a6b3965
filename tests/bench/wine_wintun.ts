/**
 * `deno run -A tests/bench/wine_wintun.ts`: packets through the Wintun device
 * under Wine, beside a C program over the same stand-in for the driver. For
 * orientation: the driver, the system's calls and the clock are not Windows'.
 */
import { Command } from "@commander-js/extra-typings";
import { Lab, type Namespace } from "../support/lab.ts";
import { TUN_BENCH } from "../contract/tun_device.ts";
import { WineMachine } from "../wine/support/machine.ts";
import { buildForWindows } from "../wine/support/standins.ts";
import {
  buildWintun,
  startTunBridge,
  WINTUN_ENV,
} from "../wine/support/wintun.ts";
import { Recorder, type Value } from "./recorder.ts";
import { formatSeries, writeSection } from "./report.ts";
import { needs } from "./command_line.ts";

const PROGRAM = new URL("./wine_wintun_program.ts", import.meta.url).pathname;
const LOOP =
  new URL("../wine/standins/wintun_loop.c", import.meta.url).pathname;
const SIZES = [100, 1400];
const CONTENDERS = ["C program", "sluice"];

/** What a program says: packets a second. */
type Rates = Readonly<Record<string, number>>;

async function runRound(
  namespace: Namespace,
  recorder: Recorder,
  milliseconds: number,
): Promise<void> {
  const library = await buildWintun();
  const loop = await buildForWindows({
    name: "wintun_loop.exe",
    sources: [LOOP],
    flags: ["-municode"],
  });
  const machine = await WineMachine.start(namespace, {
    beside: [library],
    env: WINTUN_ENV,
  });
  const time = String(milliseconds);
  const rates = async (
    contender: string,
    ...about: string[]
  ): Promise<Rates> => {
    const command = contender === CONTENDERS[0]
      ? [loop, `Z:${library}`, ...about]
      : machine.denoRun(PROGRAM, ...about);
    return JSON.parse((await machine.run(command)).stdout);
  };
  for (const contender of CONTENDERS) {
    const values: Value[] = [];
    for (const size of SIZES) {
      const found = await rates(
        contender,
        `standin-flood-${size}`,
        String(size),
        time,
      );
      for (const [what, packets] of Object.entries(found)) {
        values.push([`${what}, ${size} bytes`, "kpps", "more", packets / 1000]);
      }
    }
    const { echo } = await rates(contender, TUN_BENCH.name, "84", time);
    values.push(["echo of the Linux behind it", "kpps", "more", echo / 1000]);
    recorder.add(contender, values);
  }
}

const command = new Command("wine_wintun")
  .description("packets through the Wintun device under Wine")
  .option("--rounds <n>", "how often", Number, 3)
  .option("--seconds <n>", "length of each measurement", Number, 2)
  .option("--write <title>", "keep the table in RESULTS.md under this title");

if (import.meta.main) {
  const { rounds, seconds, write } = command.parse(Deno.args, { from: "user" })
    .opts();
  await needs(["wine", "tun"]);
  const recorder = new Recorder();
  for (let round = 1; round <= rounds; round++) {
    await using lab = await Lab.create();
    const namespace = await lab.namespace("windows");
    const { name, address, prefixLength, mtu } = TUN_BENCH;
    await startTunBridge(
      namespace,
      `${name}=${address}/${prefixLength}=${mtu}`,
    );
    await runRound(namespace, recorder, seconds * 1000);
    console.error(`round ${round} of ${rounds}`);
  }
  const table = formatSeries(recorder.series, CONTENDERS);
  console.log(table);
  if (write !== undefined) {
    const about =
      `\`deno run -A tests/bench/wine_wintun.ts --rounds ${rounds} --seconds ${seconds} --write "${write}"\`
on ${navigator.hardwareConcurrency} cores, Linux ${Deno.osRelease()}, under Wine over a stand-in
for the driver; read and write against a ring that is always full or empty.
Median (least to greatest) of ${rounds} rounds; a ratio is the median of the
rounds' ratios.`;
    await writeSection(write, `${about}\n\n${table}`);
  }
}
