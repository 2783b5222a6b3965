/** Tasks of the Task Scheduler, by the schtasks of the system. */
import assert from "node:assert/strict";
import { openStartupTasks } from "../../../../../src/io/os/windows/startup_tasks.ts";
import type { StartupTask } from "../../../../../src/io/ports.ts";

const TASK: StartupTask = {
  name: "sluice-server",
  description: "sluice <server> & Gerät",
  program: "C:\\Program Files\\sluice\\sluice.exe",
  arguments: ["server", "-c", "C:\\Program Files\\sluice\\server.yaml"],
  directory: "C:\\Program Files\\sluice",
  at: "boot",
  mode: "server",
};

// Wine writes tasks its own way, without what they start: only a real Windows
// can show that.
Deno.test("the scheduler takes the task, keeps it, and lets it go", async () => {
  const tasks = openStartupTasks();
  assert.deepEqual(await tasks.status(TASK.name), { kind: "absent" });
  assert.equal((await tasks.install(TASK)).change, "created");
  const state = await tasks.status(TASK.name);
  assert.ok(state.kind === "installed");
  assert.equal(state.place, "\\sluice\\sluice-server");
  assert.equal(state.enabled, true);
  assert.equal((await tasks.install(TASK)).change, "unchanged");
  assert.equal(await tasks.uninstall(TASK.name), true);
  assert.deepEqual(await tasks.status(TASK.name), { kind: "absent" });
  assert.equal(await tasks.uninstall(TASK.name), false);
});
