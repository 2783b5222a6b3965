/** UDP in the relay worker allocates nothing per datagram once it runs. */
import assert from "node:assert/strict";

const PROGRAM = new URL("./udp_allocation_program.ts", import.meta.url);

/** Nothing is collected while it is counted; code is optimized in time. */
const FLAGS = "--v8-flags=--expose-gc,--min-semi-space-size=128," +
  "--max-semi-space-size=128,--no-concurrent-recompilation";
/** Bytes per datagram: a burst may cost the box of a time. */
const LIMIT = 1;

interface Measured {
  readonly name: string;
  readonly perPacket: number;
}

Deno.test("a session in steady state allocates nothing per datagram", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", FLAGS, PROGRAM.href],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  const [control, ...cases] = lines.map((line): Measured => JSON.parse(line));
  assert.ok(control.perPacket >= 16, "what allocates is seen to");
  assert.equal(cases.length, 4);
  for (const { name, perPacket } of cases) {
    assert.ok(perPacket < LIMIT, `${name}: ${perPacket} bytes per datagram`);
  }
});
