/** Waiting for sockets on Windows allocates nothing once it runs. */
import assert from "node:assert/strict";

const PROGRAM = new URL("./socket_events_program.ts", import.meta.url);
const FLAGS = "--v8-flags=--expose-gc,--min-semi-space-size=128," +
  "--max-semi-space-size=128,--no-concurrent-recompilation";
/** Bytes per wait: 1,000 of them may cost the boxes of a few numbers. */
const LIMIT = 8;

Deno.test("a wait that tells of a socket allocates nothing", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", FLAGS, PROGRAM.href],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { level, edge } = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(level < LIMIT, `level: ${level} bytes a wait`);
  assert.ok(edge < LIMIT, `edge: ${edge} bytes a wait`);
});
