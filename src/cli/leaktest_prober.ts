/**
 * Sends leak probes from the process that runs it: that process is a copy of
 * this program under another name, so that rules see the program that they are
 * about. It reads one job as a line of JSON, and a second line once it may go.
 */
import {
  type Arrival,
  dnsProbe,
  formatQuestion,
  parseArrivals,
  type ProbeName,
  QUESTION_LENGTH,
} from "./leaktest_message.ts";

/** How a probe travels; ping is sent by a program of its own. */
export const PROBE_KINDS = ["tcp", "udp", "fragments", "dns"] as const;
/** One of {@linkcode PROBE_KINDS}. */
export type ProbeKind = typeof PROBE_KINDS[number];

/** One probe to send. */
export interface ProbeTask {
  readonly number: number;
  readonly kind: ProbeKind;
  readonly hostname: string;
  readonly port: number;
}

/** What a prober does. */
export interface ProbeJob {
  readonly run: string;
  readonly tasks: readonly ProbeTask[];
}

/** Longer than any usual MTU, shorter than two packets of one. */
const FRAGMENTED_LENGTH = 2600;
const ATTEMPTS = 2;
const ANSWER_MS = 1500;

/** Sends all probes of a job at once. @returns what was answered. */
export async function sendProbes({ run, tasks }: ProbeJob): Promise<Arrival[]> {
  const answers = await Promise.all(
    tasks.map((task) => sendProbe({ run, number: task.number }, task)),
  );
  return answers.flat();
}

/** The child's whole life: job, go, probes, answers. */
export async function runProber(): Promise<void> {
  const lines = readLines(Deno.stdin.readable);
  const { value: job } = await lines.next();
  await lines.next();
  const arrivals = await sendProbes(JSON.parse(job ?? "{}"));
  console.log(JSON.stringify(arrivals));
}

async function sendProbe(
  probe: ProbeName,
  task: ProbeTask,
): Promise<Arrival[]> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      const answers = await withDeadline((signal) =>
        task.kind === "tcp"
          ? askTcp(probe, task, signal)
          : askUdp(payloadOf(probe, task), task, signal)
      );
      if (answers.length > 0) return answers;
    } catch {
      // No answer: the peer's report says whether it arrived.
    }
  }
  return [];
}

function payloadOf(probe: ProbeName, { kind }: ProbeTask): Uint8Array {
  if (kind === "dns") return dnsProbe(probe);
  const length = kind === "fragments" ? FRAGMENTED_LENGTH : QUESTION_LENGTH;
  return new TextEncoder().encode(formatQuestion(probe, length));
}

async function askTcp(
  probe: ProbeName,
  { hostname, port }: ProbeTask,
  signal: AbortSignal,
): Promise<Arrival[]> {
  const connection = await Deno.connect({ hostname, port, signal });
  signal.addEventListener("abort", () => close(connection));
  try {
    // Short: the peer answers when the line ends.
    const question = new TextEncoder().encode(formatQuestion(probe, 0));
    await connection.write(question);
    return parseArrivals(await new Response(connection.readable).text());
  } finally {
    close(connection);
  }
}

async function askUdp(
  payload: Uint8Array,
  { hostname, port, kind }: ProbeTask,
  signal: AbortSignal,
): Promise<Arrival[]> {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: hostname.includes(":") ? "::" : "0.0.0.0",
    port: 0,
  });
  signal.addEventListener("abort", () => close(socket));
  try {
    await socket.send(payload, { transport: "udp", hostname, port });
    const [answer] = await socket.receive();
    // What answers DNS may be another resolver: only the peer's report counts.
    return kind === "dns"
      ? []
      : parseArrivals(new TextDecoder().decode(answer));
  } finally {
    close(socket);
  }
}

async function withDeadline<Result>(
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ANSWER_MS);
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** Lines of a stream, their ends cut off. */
export async function* readLines(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<string> {
  let pending = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (pending + decoder.decode(chunk, { stream: true }))
      .split("\n");
    pending = lines.pop()!;
    yield* lines;
  }
}

function close(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // Closed already.
  }
}
