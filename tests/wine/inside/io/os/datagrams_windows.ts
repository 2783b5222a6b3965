/** Datagrams allocate next to nothing on their way, and what they do is bounded. */
import assert from "node:assert/strict";

const PROGRAM = new URL("./datagrams_program.ts", import.meta.url);
const FLAGS = "--v8-flags=--expose-gc,--min-semi-space-size=128," +
  "--max-semi-space-size=128,--no-concurrent-recompilation";
/** Bytes per datagram: 6,400 of them may cost the boxes of a few numbers. */
const LIMIT = 4;
/** Where each is received by a pointer to WSARecvMsg: the runtime makes an array of its arguments. */
const POINTER_LIMIT = 128;

Deno.test("a datagram that is sent and received allocates next to nothing", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--unstable-net",
      "--no-check",
      "--cached-only",
      FLAGS,
      PROGRAM.href,
    ],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { system, sticky, outside } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  assert.ok(system < LIMIT, `tunnel: ${system} bytes a datagram`);
  assert.ok(sticky < POINTER_LIMIT, `sticky tunnel: ${sticky} bytes`);
  assert.ok(outside < POINTER_LIMIT, `outside: ${outside} bytes`);
});
