/** Services of systemd: what is written, and what systemctl is asked. */
import assert from "node:assert/strict";
import { openStartupTasks } from "../../../../src/io/os/linux/startup_tasks.ts";
import type {
  CommandResult,
  StartupTask,
  StartupTaskProblem,
} from "../../../../src/io/ports/startup_tasks.ts";

const TASK: StartupTask = {
  name: "sluice-server",
  description: "a gateway",
  program: "/opt/sluice",
  arguments: ["server", "-c", "/etc/sluice/server.yaml"],
  directory: "/etc/sluice",
  at: "boot",
  mode: "server",
};
const DONE: CommandResult = { success: true, text: "" };

/** A system whose systemctl answers as told, and notes what it was asked. */
async function withSystem(
  fn: (system: {
    readonly tasks: ReturnType<typeof openStartupTasks>;
    readonly asked: string[];
    readonly answers: Map<string, CommandResult>;
    readonly unit: string;
  }) => Promise<void>,
  { booted = true } = {},
): Promise<void> {
  const units = await Deno.makeTempDir();
  const asked: string[] = [];
  const answers = new Map<string, CommandResult>();
  const tasks = openStartupTasks({
    units,
    runs: booted ? units : `${units}/absent`,
    run: (program, args) => {
      asked.push([program, ...args].join(" "));
      return Promise.resolve(answers.get(args[0]) ?? DONE);
    },
  });
  try {
    await fn({ tasks, asked, answers, unit: `${units}/sluice-server.service` });
  } finally {
    await Deno.remove(units, { recursive: true });
  }
}

function refusal(problem: StartupTaskProblem, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof Error && "problem" in error);
    assert.equal(error.problem, problem);
    assert.match(error.message, message);
    return true;
  };
}

Deno.test("installed once, nothing changes by installing again", () =>
  withSystem(async ({ tasks, asked, answers, unit }) => {
    answers.set("is-active", { success: false, text: "inactive" });
    const first = await tasks.install(TASK);
    assert.deepEqual(first, { change: "created", place: unit, notes: [] });
    assert.equal(await Deno.readTextFile(unit), tasks.format(TASK));
    const mode = (await Deno.stat(unit)).mode! & 0o777;
    assert.equal(mode, 0o644);
    assert.deepEqual(asked, [
      "systemctl daemon-reload",
      "systemctl enable sluice-server.service",
    ]);
    const written = (await Deno.stat(unit)).mtime;
    assert.equal((await tasks.install(TASK)).change, "unchanged");
    assert.deepEqual((await Deno.stat(unit)).mtime, written);
  }));

Deno.test("another config brings it up to date, and says that it still runs as it was", () =>
  withSystem(async ({ tasks, unit }) => {
    await tasks.install(TASK);
    const other = { ...TASK, arguments: ["server", "-c", "/srv/s.yaml"] };
    assert.deepEqual(await tasks.install(other), {
      change: "replaced",
      place: unit,
      notes: ["it runs as it was: systemctl restart sluice-server"],
    });
    assert.match(await Deno.readTextFile(unit), /-c \/srv\/s\.yaml$/m);
  }));

Deno.test("its state is what systemctl says", () =>
  withSystem(async ({ tasks, answers, unit }) => {
    assert.deepEqual(await tasks.status(TASK.name), { kind: "absent" });
    await tasks.install(TASK);
    answers.set("is-active", { success: false, text: "failed" });
    assert.deepEqual(await tasks.status(TASK.name), {
      kind: "installed",
      place: unit,
      command: "/opt/sluice server -c /etc/sluice/server.yaml",
      enabled: true,
      running: false,
    });
  }));

Deno.test("removed, it is ended first; what isn't there can't be removed", () =>
  withSystem(async ({ tasks, asked, unit }) => {
    assert.equal(await tasks.uninstall(TASK.name), false);
    assert.deepEqual(asked, []);
    await tasks.install(TASK);
    asked.length = 0;
    assert.equal(await tasks.uninstall(TASK.name), true);
    assert.deepEqual(asked, [
      "systemctl disable --now sluice-server.service",
      "systemctl daemon-reload",
    ]);
    await assert.rejects(Deno.stat(unit), Deno.errors.NotFound);
  }));

Deno.test("a system without systemd is told apart, and nothing is written", () =>
  withSystem(async ({ tasks, asked, unit }) => {
    await assert.rejects(
      tasks.install(TASK),
      refusal("unsupported", /not run by systemd/),
    );
    await assert.rejects(Deno.stat(unit), Deno.errors.NotFound);
    assert.deepEqual(asked, []);
  }, { booted: false }));

Deno.test("at logon is refused: no such service of the system", () =>
  withSystem(async ({ tasks }) => {
    await assert.rejects(
      tasks.install({ ...TASK, at: "logon" }),
      refusal("unsupported", /at boot, not when somebody signs in/),
    );
  }));

Deno.test("what systemctl refuses is told in its words", () =>
  withSystem(async ({ tasks, answers }) => {
    answers.set("enable", { success: false, text: "Unit is masked." });
    await assert.rejects(
      tasks.install(TASK),
      refusal("failed", /systemctl enable .*: Unit is masked\./),
    );
    answers.set("enable", { success: false, text: "Access denied" });
    await assert.rejects(tasks.install(TASK), refusal("denied", /denied/));
  }));
