/** `sluice config check` as a program: its words and its exit codes. */
import assert from "node:assert/strict";
import { denoRun } from "../support/agent.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const EXAMPLES = new URL("../../config/", import.meta.url).pathname;

async function check(...args: string[]) {
  const [program, ...rest] = denoRun(MAIN, "config", "check", ...args);
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: rest,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), error: decoder.decode(stderr) };
}

async function withFile(
  text: string,
  fn: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(path, text);
    await fn(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("the examples are right, each for its own", async () => {
  const { code, out } = await check(`${EXAMPLES}client_include.yaml`);
  assert.equal(code, 0);
  assert.match(out, /right, for sluice client/);
});

Deno.test("a mistake is told with line and column, by exit code 2", () =>
  withFile("tunnels: []\nrulez: []\n", async (path) => {
    const { code, out, error } = await check(path);
    assert.equal(code, 2);
    assert.equal(out, "");
    assert.match(error, /:2:1.*rulez/);
  }));

Deno.test("whose it is can be said", () =>
  withFile("default: direct\n", async (path) => {
    const { code, out } = await check(path, "--mode", "client");
    assert.equal(code, 0, out);
    assert.match(out, /for sluice client/);
  }));

Deno.test("no YAML at all, and no file at all", async () => {
  await withFile("a: [", async (path) => {
    assert.equal((await check(path)).code, 2);
  });
  const { code, error } = await check("/nowhere/server.yaml");
  assert.equal(code, 2);
  assert.match(error, /does not exist/);
});
