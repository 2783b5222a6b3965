/** The relay allocates nothing per message that it moves. */
import assert from "node:assert/strict";

const PROGRAM = new URL("./relay_allocation_program.ts", import.meta.url);
const HEAP = "--min-semi-space-size=128,--max-semi-space-size=128";
const COMPILER = "--no-concurrent-recompilation";
/** Bytes per message: a round of 50 may cost the boxes of a few times. */
const LIMIT = 4;

Deno.test({
  name: "moving bytes allocates nothing per message",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const { success, stdout, stderr } = await new Deno.Command(
      Deno.execPath(),
      {
        args: [
          "run",
          "--allow-all",
          `--v8-flags=--expose-gc,${HEAP},${COMPILER}`,
          PROGRAM.href,
        ],
      },
    ).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const { perMessage } = JSON.parse(new TextDecoder().decode(stdout));
    assert.ok(perMessage < LIMIT, `${perMessage} bytes per message`);
  },
});
