/**
 * The tunnel against another implementation: all measures in turns (A B A B),
 * so that what changes on the machine meanwhile meets both.
 */
import { Lab } from "../support/lab.ts";
import {
  type Contender,
  type ContenderName,
  type ContenderOptions,
  startContender,
} from "./contender.ts";
import {
  pingTimes,
  pingTimesUnderLoad,
  residentMegabytes,
  tcpThroughput,
  udpDelivered,
} from "./measure.ts";

/** What can be measured. */
export const MEASURES = ["tcp", "udp", "ping", "memory"] as const;
/** One of them. */
export type MeasureName = typeof MEASURES[number];

/** 100 pings a second: the p99 of fewer than 800 is a matter of chance. */
const LEAST_PING_SECONDS = 8;

/** One line of the result: the rounds' values of each contender. */
export interface Series {
  readonly name: string;
  readonly unit: string;
  readonly better: "more" | "less";
  readonly values: Map<string, number[]>;
}

/** What to run. */
export interface ThroughputOptions extends ContenderOptions {
  /** Two, or one alone; the first is what the others are compared with. */
  readonly contenders: readonly ContenderName[];
  readonly measures: readonly MeasureName[];
  readonly rounds: number;
  readonly seconds: number;
  readonly onRound: (round: number) => void;
}

/** Labels of the contenders, told apart where one takes part twice. */
export function labels(contenders: readonly ContenderName[]): string[] {
  return contenders.map((name, i) => {
    const earlier = contenders.slice(0, i).filter((other) => other === name);
    return earlier.length === 0 ? name : `${name} (${earlier.length + 1})`;
  });
}

/** Runs all rounds. */
export async function runThroughput(
  options: ThroughputOptions,
): Promise<Series[]> {
  await using lab = await Lab.create();
  const names = labels(options.contenders);
  const running: Contender[] = [];
  for (const name of options.contenders) {
    running.push(await startContender(lab, name, options));
  }
  const series = new Map<string, Series>();
  const record = (
    contender: number,
    name: string,
    unit: string,
    better: Series["better"],
    value: number,
  ) => {
    const row = series.get(name) ?? { name, unit, better, values: new Map() };
    series.set(name, row);
    const values = row.values.get(names[contender]) ?? [];
    row.values.set(names[contender], [...values, value]);
  };
  for (let round = 1; round <= options.rounds; round++) {
    options.onRound(round);
    for (const measure of options.measures) {
      for (const [i, contender] of running.entries()) {
        const values = await MEASURE[measure](contender, options.seconds);
        for (const [name, unit, better, value] of values) {
          record(i, name, unit, better, value);
        }
      }
    }
  }
  return [...series.values()];
}

type Value = readonly [
  name: string,
  unit: string,
  better: Series["better"],
  value: number,
];

const MEASURE: Record<
  MeasureName,
  (contender: Contender, seconds: number) => Promise<Value[]>
> = {
  async tcp(contender, seconds) {
    const values: Value[] = [];
    for (const streams of [1, 4]) {
      const gigabits = await tcpThroughput(contender, { seconds, streams });
      const name = `TCP, ${streams} stream${streams > 1 ? "s" : ""}`;
      values.push([name, "Gbit/s", "more", gigabits]);
    }
    return values;
  },
  async udp(contender, seconds) {
    const delivered = await udpDelivered(contender, { seconds, bytes: 200 });
    return [["UDP flood, 200 bytes, delivered", "kpps", "more", delivered]];
  },
  async ping(contender, wanted) {
    const seconds = Math.max(wanted, LEAST_PING_SECONDS);
    const idle = await pingTimes(contender, seconds);
    const loaded = await pingTimesUnderLoad(contender, seconds);
    return [
      ["ping, idle, median", "ms", "less", idle.median],
      ["ping, idle, p99", "ms", "less", idle.p99],
      ["ping under load, median", "ms", "less", loaded.median],
      ["ping under load, p99", "ms", "less", loaded.p99],
    ];
  },
  async memory(contender) {
    const megabytes = await residentMegabytes(contender);
    return [["memory after load, server end", "MB", "less", megabytes]];
  },
};
