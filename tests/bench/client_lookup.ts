/**
 * What it costs to find a flow's program, on this machine with the programs that
 * run now, and to decide about it by a long list of rules.
 */
import { openLibc } from "../../ffi/libc.ts";
import { raiseOpenFileLimit } from "../../src/io/os/linux/limits.ts";
import { openProcessTable } from "../../src/io/os/linux/process_table.ts";
import type { FlowEnds } from "../../src/io/ports.ts";
import { copyShell, Program, TestSocket } from "../io/os/linux/held_socket.ts";
import { pause } from "../support/wait.ts";
import type { Value } from "./recorder.ts";
import { quantile } from "./statistics.ts";

const PROGRAMS = 16;
const SOCKETS = 200;
/** UDP sockets of this host beside those that are looked up. */
const BESIDE = 8000;

/** Look-ups, each with median and p99: of a program not seen before, of a known one, of a known socket. */
export async function measureLookups(): Promise<Value[]> {
  const libc = openLibc();
  using table = openProcessTable({ libc });
  using listener = new TestSocket(libc, {
    protocol: "udp",
    local: "127.0.0.1:0",
  });
  const remote = `127.0.0.1:${listener.port}`;
  const open = () => new TestSocket(libc, { protocol: "udp", remote });
  const time = (flow: FlowEnds) => {
    const start = performance.now();
    let owner = table.ownerOf(flow);
    // A busy machine: a look-up ends in bounded time, and goes on when asked again.
    for (
      let i = 0;
      i < 20 && owner.kind === "unknown" && owner.reason === "unfinished";
      i++
    ) owner = table.ownerOf(flow);
    const took = (performance.now() - start) * 1000;
    if (owner.kind === "unknown") {
      throw new Error(`no program: ${owner.reason}`);
    }
    return took;
  };

  const directory = await Deno.makeTempDir();
  await using resources = new AsyncDisposableStack();
  resources.defer(() => Deno.remove(directory, { recursive: true }));
  const strange: number[] = [];
  for (let i = 0; i < PROGRAMS; i++) {
    const shell = copyShell(`${directory}/program${i}`);
    let flow: FlowEnds;
    {
      using socket = open();
      resources.use(Program.start(shell));
      flow = socket.flow("127.0.0.1", remote);
    }
    strange.push(time(flow));
  }
  const sockets = Array.from(
    { length: SOCKETS },
    () => resources.use(open()),
  );
  const flows = sockets.map((socket) => socket.flow("127.0.0.1", remote));
  time(flows[0]);
  const known = flows.slice(1).map(time);
  const cached = flows.slice(1).map(time);
  const beside = Math.min(BESIDE, raiseOpenFileLimit(libc) - 1000);
  for (let i = 0; i < beside; i++) resources.use(open());
  // One now and then, each new, and then as many as wait while one is looked up.
  const alone: number[] = [];
  for (let i = 0; i < SOCKETS; i++) {
    await pause(10);
    alone.push(time(resources.use(open()).flow("127.0.0.1", remote)));
  }
  const waiting = Array.from(
    { length: SOCKETS },
    () => resources.use(open()).flow("127.0.0.1", remote),
  ).map(time);
  return [
    ...values("look-up: a program not seen before", strange),
    ...values("look-up: a new socket of a known program", known),
    ...values("look-up: a socket looked up before", cached),
    ...values(`look-up: one new socket beside ${beside}`, alone),
    ...values(`look-up: each of ${SOCKETS} beside ${beside}`, waiting),
  ];
}

/** How many programs run here now. */
export function programsHere(): number {
  return [...Deno.readDirSync("/proc")]
    .filter(({ name }) => /^[0-9]+$/.test(name)).length;
}

function values(name: string, times: readonly number[]): Value[] {
  return [
    [`${name}, median`, "µs", "less", quantile(times, 0.5)],
    [`${name}, p99`, "µs", "less", quantile(times, 0.99)],
  ];
}
