/**
 * Ancestors by the process connector: the kernel serves it to root in the first
 * namespaces only, so that this runs there, among all processes of the machine.
 */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import type { ProcessTable } from "../../../../src/io/ports.ts";
import { openProcessTable } from "../../../../src/io/os/linux/process_table.ts";
import { waitFor } from "../../../support/wait.ts";
import { copyShell, Program } from "./held_socket.ts";

const missing = Deno.build.os === "linux" ? whyNoEvents() : "needs Linux";

function whyNoEvents(): string | undefined {
  using libc = openLibc();
  using table = openProcessTable({ libc });
  return table.lineage.kind === "asking" ? table.lineage.reason : undefined;
}

/** What CI's machine must give; a user's may lack it. */
const mustRun = Deno.env.get("CI") === "true" && Deno.uid() === 0 &&
  missing?.includes("namespace") !== true;

function test(name: string, fn: (table: ProcessTable) => Promise<void>): void {
  const ignore = missing !== undefined && !mustRun;
  Deno.test({
    name: ignore ? `${name} (skipped: ${missing})` : name,
    ignore,
    async fn() {
      assert.equal(missing, undefined);
      using libc = openLibc();
      using table = openProcessTable({ libc });
      await fn(table);
    },
  });
}

/** A program that starts another one, which starts a third one; both end then. */
function chain(directory: string, lifetime: string): Program {
  const [launcher, middle, child] = ["launcher", "middle", "child"]
    .map((name) => copyShell(`${directory}/${name}`));
  return Program.start(
    launcher,
    `${middle} -c "${child} -c 'echo \\$\\$; sleep 100' & ${lifetime}" & ${lifetime}`,
  );
}

test("ancestors that ended before anybody asked are known", async (table) => {
  const directory = Deno.makeTempDirSync();
  // As a worker does that waits for the descriptor.
  const draining = setInterval(() => table.drain(), 5);
  await using program = chain(directory, "sleep 0.3");
  await program.goOn();
  const id = Number(await program.print());
  await waitFor("the launcher to end", () => {
    const line = table.process(id)?.ancestors ?? [];
    return Promise.resolve(line[0]?.ended && line[1]?.ended);
  });
  clearInterval(draining);
  const info = table.process(id)!;
  assert.equal(info.name, "child");
  assert.deepEqual(
    info.ancestors.slice(0, 2).map(({ path, ended }) => [path, ended]),
    ["middle", "launcher"].map((name) => [`${directory}/${name}`, true]),
  );
  assert.equal(info.ancestors[2].processId, Deno.pid);
  Deno.kill(id, "SIGKILL");
  Deno.removeSync(directory, { recursive: true });
});

test("what ended before its start was drained is in the line, without a path", async (table) => {
  const directory = Deno.makeTempDirSync();
  await using program = chain(directory, ":");
  await program.goOn();
  const id = Number(await program.print());
  await waitFor("both to end", () =>
    Promise.resolve(
      !isRunning(program.id) && parentOf(id) !== `${directory}/middle`,
    ));
  const [middle, launcher, own] = table.process(id)!.ancestors;
  for (const unknown of [middle, launcher]) {
    assert.deepEqual([unknown.path, unknown.name], [undefined, ""]);
  }
  assert.equal(launcher.processId, program.id);
  assert.equal(own.processId, Deno.pid);
  Deno.kill(id, "SIGKILL");
  Deno.removeSync(directory, { recursive: true });
});

/** What the parent of a process runs. */
function parentOf(id: number): string | undefined {
  const stat = Deno.readTextFileSync(`/proc/${id}/stat`);
  const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  try {
    return Deno.readLinkSync(`/proc/${parent}/exe`);
  } catch {
    return undefined;
  }
}

/** Neither gone nor a zombie. */
function isRunning(id: number): boolean {
  try {
    return !/\) Z /.test(Deno.readTextFileSync(`/proc/${id}/stat`));
  } catch {
    return false;
  }
}

test("a storm of short processes: the line stays right, losses are told", async (table) => {
  const directory = Deno.makeTempDirSync();
  const launcher = copyShell(`${directory}/launcher`);
  await using program = Program.start(
    launcher,
    "i=0; while [ $i -lt 3000 ]; do (:); i=$((i+1)); done; " +
      "(echo $(exec sh -c 'echo $PPID'); sleep 100) & wait",
  );
  await program.goOn();
  const id = Number(await program.print());
  const line = table.process(id)!.ancestors;
  assert.equal(line[0].path, launcher);
  assert.equal(line[0].processId, program.id);
  const { events, eventsLost } = table.counters();
  assert.ok(events >= 6000 || eventsLost > 0, `${events} events`);
  Deno.kill(id, "SIGKILL");
  Deno.removeSync(directory, { recursive: true });
});

test("the descriptor is readable when there is something to drain", async (table) => {
  using libc = openLibc();
  const readable = () => {
    const set = new Uint8Array(8);
    new DataView(set.buffer).setInt32(0, table.descriptor!, true);
    set[4] = 1;
    return libc.call.poll(set, 1, 0) === 1;
  };
  const before = table.counters().events;
  await new Deno.Command("true").output();
  assert.ok(readable());
  table.drain();
  assert.ok(table.counters().events > before);
});
