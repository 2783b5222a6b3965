/** A leak test from its plan to its results; see leaktest.ts. */
import {
  formatAddress,
  isMappedIpv4,
  parseAddress,
} from "../core/wire/address.ts";
import { resolveHost } from "../io/resolve_host.ts";
import { askClient, type SocketOptions } from "./ask_client.ts";
import { ExitCode, UserError } from "./errors.ts";
import { askDirectly } from "./leaktest_direct.ts";
import { type Arrival, newRun, pingPattern } from "./leaktest_message.ts";
import {
  PROBE_KINDS,
  type ProbeKind,
  type ProbeTask,
} from "./leaktest_prober.ts";
import {
  canPing,
  ProbePrograms,
  type Prober,
  programName,
} from "./leaktest_programs.ts";
import {
  type DirectSources,
  judgeProbes,
  type ProbeResult,
  type SentProbe,
} from "./leaktest_verdict.ts";
import { formatTable, writeError, writeOut } from "./output.ts";

/** What is tested. */
export interface LeakTestOptions extends SocketOptions {
  /** Names or addresses of the peer. */
  readonly peers: readonly string[];
  readonly port: number;
  readonly dnsPort: number;
  /** Names of programs to probe as. */
  readonly as: readonly string[];
  /** Addresses of direct traffic, where they are known. */
  readonly direct: readonly string[];
  readonly json?: true;
}

/** A name that no rule should be about. */
const UNMATCHED = "sluice-leaktest-unmatched";
const MOST_PROGRAMS = 16;
const KIND_TEXTS: Readonly<Record<ProbeKind | "ping", string>> = {
  tcp: "TCP",
  udp: "UDP",
  fragments: "UDP fragments",
  dns: "DNS",
  ping: "ping",
};
const KINDS = [...PROBE_KINDS, "ping"] as const;

/** Everything that is known of a test. */
interface Plan {
  readonly run: string;
  readonly hosts: readonly Int32Array[];
  readonly port: number;
  readonly dnsPort: number;
  readonly programs: readonly string[];
}

/**
 * Probes, judges and prints.
 * @throws {UserError} where something leaked, or the test can't be made.
 */
export async function runLeakTest(options: LeakTestOptions): Promise<void> {
  const plan = await makePlan(options);
  const { probes, arrivals } = await probeAll(plan, options);
  const egress = await clientEgress(options);
  const report = await askDirectly({ ...plan, egress });
  const direct = directSources(report.sources, options.direct);
  const results = judgeProbes(
    probes,
    [...arrivals, ...report.arrivals],
    direct,
  );
  writeOut(
    options.json
      ? JSON.stringify({ direct, results }, null, 2) + "\n"
      : formatResults(results, direct),
  );
  if (report.note !== undefined) writeError(`note: ${report.note}\n`);
  if (results.some(({ result }) => result === "leak")) {
    throw new UserError("traffic left outside its tunnel");
  }
}

async function makePlan(options: LeakTestOptions): Promise<Plan> {
  const { peers, port, dnsPort } = options;
  if (peers.length === 0) {
    throw new UserError(
      "which peer?",
      "name a host that runs sluice leaktest --serve",
      ExitCode.Usage,
    );
  }
  const programs = [...new Set([...options.as, UNMATCHED])].map(programName);
  const bad = programs.find((name) => !/^[^/\\\0]{1,200}$/.test(name));
  if (bad !== undefined || programs.length > MOST_PROGRAMS) {
    throw new UserError(
      bad === undefined
        ? `--as: at most ${MOST_PROGRAMS - 1} programs`
        : `--as: "${bad}" is no file name`,
      "give the name of the program's file alone, such as firefox",
      ExitCode.Usage,
    );
  }
  return {
    run: newRun(),
    hosts: await Promise.all(peers.map(resolveHost)),
    port,
    dnsPort,
    programs,
  };
}

async function probeAll(
  plan: Plan,
  options: LeakTestOptions,
): Promise<{ probes: SentProbe[]; arrivals: Arrival[] }> {
  await using programs = await ProbePrograms.create();
  const probes: SentProbe[] = [];
  const arrivals: Arrival[] = [];
  // One after the other: what one program is answered has no part in the next.
  for (const [index, name] of plan.programs.entries()) {
    const tasks = tasksOf(plan, index);
    const job = {
      run: plan.run,
      tasks: tasks.filter(isSentByProber),
    };
    await using prober = await programs.startProber(name, job);
    for (const task of tasks) {
      probes.push({
        number: task.number,
        program: name,
        kind: KIND_TEXTS[task.kind],
        family: task.hostname.includes(":") ? 6 : 4,
        verdict: await askVerdict(prober, task, options),
      });
    }
    const pings = tasks.filter(({ kind }) => kind === "ping");
    const [answered] = await Promise.all([
      prober.go(),
      ...pings.map(({ number, hostname }) =>
        programs.ping(name, {
          address: hostname,
          pattern: pingPattern({ run: plan.run, number }),
        })
      ),
    ]);
    arrivals.push(...answered);
  }
  return { probes, arrivals };
}

/** Interfaces that the running client leaves by; none where none runs. */
async function clientEgress(
  options: LeakTestOptions,
): Promise<Record<4 | 6, string | undefined>> {
  try {
    const { egress4, egress6 } = await askClient({ verb: "status" }, options);
    return { 4: egress4, 6: egress6 };
  } catch (error) {
    if (error instanceof UserError) return { 4: undefined, 6: undefined };
    throw error;
  }
}

type AnyTask = Omit<ProbeTask, "kind"> & { readonly kind: ProbeKind | "ping" };

function isSentByProber(task: AnyTask): task is ProbeTask {
  return task.kind !== "ping";
}

function tasksOf(
  { hosts, port, dnsPort, programs }: Plan,
  program: number,
): AnyTask[] {
  return hosts.flatMap((words, host) =>
    KINDS.filter((kind) => kind !== "ping" || canPing()).map((kind, n) => ({
      number: 1 + n + KINDS.length * (program + programs.length * host),
      kind,
      hostname: formatAddress(words),
      port: kind === "ping" ? 0 : kind === "dns" ? dnsPort : port,
    }))
  );
}

/** Where the client sends a probe; undefined where none runs, or it can't tell. */
async function askVerdict(
  prober: Prober,
  { kind, hostname, port }: AnyTask,
  options: LeakTestOptions,
): Promise<SentProbe["verdict"]> {
  const protocol = kind === "ping" ? "icmp" : kind === "tcp" ? "tcp" : "udp";
  try {
    const answer = await askClient({
      verb: "explain",
      question: {
        program: { kind: "process", processId: prober.processId },
        protocol,
        address: hostname,
        port,
      },
    }, options);
    return answer.explanation.verdict;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function directSources(
  found: readonly string[],
  given: readonly string[],
): DirectSources {
  const all = [...given, ...found].flatMap((text) => {
    const words = parseAddress(text);
    return words === undefined ? [] : [{ text, words }];
  });
  return {
    4: all.find(({ words }) => isMappedIpv4(words))?.text,
    6: all.find(({ words }) => !isMappedIpv4(words))?.text,
  };
}

/** The results as a table, and what they come to. */
export function formatResults(
  results: readonly ProbeResult[],
  direct: DirectSources,
): string {
  const rows = results.map(({ probe, text }) => [
    probe.program,
    probe.kind,
    `IPv${probe.family}`,
    wayText(probe),
    text,
  ]);
  const leaks = results.filter(({ result }) => result === "leak").length;
  const unknown = results.filter(({ result }) => result === "unknown").length;
  const ours = [direct[4], direct[6]].filter((text) => text !== undefined);
  return formatTable([
    ["PROGRAM", "PROBE", "FAMILY", "SHOULD GO", "RESULT"],
    ...rows,
  ]) + "\n" +
    `direct traffic comes from ${
      ours.join(" and ") || "an unknown address"
    }\n` +
    (leaks > 0
      ? `${leaks} of ${results.length} probes LEAKED\n`
      : unknown > 0
      ? `no leak seen; ${unknown} of ${results.length} probes could not be judged\n`
      : "no leak\n");
}

function wayText({ verdict }: SentProbe): string {
  if (verdict === undefined) return "unknown: no client";
  const way = verdict.way === "tunnel"
    ? `tunnel ${verdict.tunnel}`
    : verdict.way;
  return verdict.by === "unknown-owner" ? `${way} (unknownOwner)` : way;
}
